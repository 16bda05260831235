"""Promises of `glmd doctor`."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.client.diagnosis import examine
from daemon.client.finding import Verdict
from daemon.client.training_findings import ask_interpreter
from daemon.core.settings import Settings
from daemon.core.slurm_names import ID_FILE
from tests.unit.daemon.commands.conftest import Site
from tests.unit.daemon.face.diary import DONE, FAILED, TRAINING, Diary
from tests.unit.handlers.slurm.tools import NAMES, Tools


@pytest.fixture
def training(tmp_path: Path) -> dict[str, str]:
    """Make an interpreter that answers as one with MindSpore does, and a checkout."""
    (tmp_path / "modules" / "mindspore").mkdir(parents=True)
    (tmp_path / "modules" / "mindspore" / "__init__.py").write_text("__version__ = '2.0.0'\nprint('a greeting')\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/modules exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    checkout = tmp_path / "mindformers"
    checkout.mkdir()
    (checkout / "run_mindformer.py").write_text("")
    return {"GLMD_TRAINING__PYTHON": str(python), "GLMD_TRAINING__CHECKOUT": str(checkout)}


def verdicts(site: Site, **env: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code and the checks by name."""
    done = site.glmd("doctor", "--json", **env)
    said = json.loads(done.stdout)
    assert said["ok"] == (done.returncode == 0)
    return done.returncode, {check["name"]: check for check in said["checks"]}


def test_a_host_with_everything_essential_is_well(site: Site, training: dict[str, str]) -> None:
    """Exit code 0, though NPUs and systemd lack; versions are told."""
    code, checks = verdicts(site, **training)
    assert code == 0
    assert "mindspore 2.0.0" in checks["training.python"]["text"]
    assert checks["root"]["verdict"] == "ok"


def test_it_says_which_file_the_settings_are_of(site: Site) -> None:
    """Whoever is told to set something knows where, also where there is no file yet."""
    checks = verdicts(site)[1]
    assert checks["settings"]["verdict"] == "note"
    assert "/etc/glmd/glmd.yaml is not there" in checks["settings"]["text"]
    file = site.root.path / "glmd.yaml"
    file.write_text("runner: spawn\n")
    assert verdicts(site)[1]["settings"]["text"] == f"read from {file}"


def test_what_is_said_of_a_daemon_that_does_not_run_is_said_once(site: Site) -> None:
    """The text has the way to start it."""
    daemon = verdicts(site)[1]["daemon"]
    assert "start it: systemctl start glmd, or glmd serve" in daemon["text"]
    assert not daemon["advice"]


@pytest.mark.parametrize(
    ("setting", "value", "check"),
    (
        ("GLMD_TRAINING__PYTHON", "/nowhere/python", "training.python"),
        ("GLMD_TRAINING__PYTHON", "/bin/false", "training.python"),
        ("GLMD_TRAINING__PYTHON", sys.executable, "training.python"),
        ("GLMD_TRAINING__CHECKOUT", "/nowhere", "training.checkout"),
        ("GLMD_TRAINING__ENTRY", "tools/train.py", "training.checkout"),
    ),
)
def test_what_essentially_lacks_is_exit_code_1(
    site: Site, training: dict[str, str], setting: str, value: str, check: str
) -> None:
    """And says what to do."""
    code, checks = verdicts(site, **(training | {setting: value}))
    assert code == 1
    assert checks[check]["verdict"] == "missing"
    assert checks[check]["advice"]


def test_a_module_in_place_of_run_mindformer_needs_no_checkout(site: Site, training: dict[str, str]) -> None:
    """Whether the interpreter finds it shows when it runs."""
    module = {"GLMD_TRAINING__ENTRY": "site_tools.train", "GLMD_TRAINING__CHECKOUT": "/nowhere"}
    code, checks = verdicts(site, **(training | module))
    assert code == 0
    assert "site_tools.train is a module" in checks["training.entry"]["text"]


def version_of(training: dict[str, str], mindformers: str, mindspore: str, support: dict[str, str]) -> None:
    """Let the checkout be of a MindFormers that says what it wants, and the interpreter have a MindSpore."""
    package = Path(training["GLMD_TRAINING__CHECKOUT"]) / "mindformers"
    package.mkdir()
    (package / "__init__.py").write_text(f"__version__ = '{mindformers}'\nraise SystemExit('it was imported')\n")
    told = {version: {"prefer": wanted, "support": [wanted]} for version, wanted in support.items()}
    (package / "VERSION_MAP.json").write_text(json.dumps({"mf": told, "ms": {}}))
    modules = Path(training["GLMD_TRAINING__PYTHON"]).parent / "modules"
    (modules / "mindspore" / "__init__.py").write_text(f"__version__ = '{mindspore}'\n")


PAIRS = {"1.7.0": "2.7.1", "1.8.0": "2.7.2", "1.9.0": "2.9.0"}


@pytest.mark.parametrize(
    ("mindformers", "mindspore", "verdict", "text", "advice"),
    (
        ("1.9.0", "2.9.0", "ok", "mindspore 2.9.0, as MindFormers 1.9.0 wants 2.9", ""),
        ("1.9.0", "2.9.0rc1", "ok", "as MindFormers 1.9.0 wants 2.9", ""),
        ("1.9.0", "2.7.2", "note", "2.7.2 does not fit: MindFormers 1.9.0 wants 2.9 (", "; or set training.checkout"),
        ("1.9.0", "2.0.0", "note", "mindspore 2.0.0 does not fit", "-m pip install mindspore==2.9.0"),
        ("1.9.0", "nightly", "note", "mindspore nightly; MindFormers 1.9.0 wants 2.9", "mindspore==2.9.0"),
        ("1.9.3", "2.9.0", "ok", "mindspore 2.9.0; MindFormers 1.9.3 does not say which it wants", ""),
    ),
)  # fmt: skip
def test_the_pair_of_versions(
    site: Site, training: dict[str, str], mindformers: str, mindspore: str, verdict: str, text: str, advice: str
) -> None:
    """By MindFormers' own table, which is read and not imported; a note, for some pairs that are not in it work."""
    version_of(training, mindformers, mindspore, PAIRS)
    code, checks = verdicts(site, **training)
    assert (code, checks["mindspore"]["verdict"]) == (0, verdict)
    assert text in checks["mindspore"]["text"]
    assert advice in checks["mindspore"]["advice"]
    assert bool(checks["mindspore"]["advice"]) == (verdict == "note")


def test_a_mindspore_that_nobody_can_ask_for(site: Site, training: dict[str, str]) -> None:
    """Which one is wanted is said all the same; settings that name a version do not hide the package's table."""
    version_of(training, "1.9.0", "2.9.0", PAIRS)
    missing = training | {"GLMD_TRAINING__PYTHON": "/nowhere/python", "GLMD_TRAINING__MINDFORMERS": "1.8"}
    found = verdicts(site, **missing)[1]["mindspore"]
    assert found["text"].endswith("has a mindspore of unknown version, or none; MindFormers 1.8 wants 2.7.2")
    assert found["advice"] == "install it there: /nowhere/python -m pip install mindspore==2.7.2"


@pytest.mark.parametrize(
    ("version", "verdict", "text"),
    (
        ("0.8.0", "ok", "by the rules of 0.8 and older"),
        ("2.1.9", "ok", "by the rules of 1.9 and newer"),
        ("2.2.0", "note", "by the rules of 1.9 and newer, which nobody has compared with 2.2"),
        ("0.5", "note", "by the rules of 0.8 and older, which nobody has compared with 0.5"),
    ),
)
def test_a_version_that_nobody_knows(
    site: Site, training: dict[str, str], good_yaml: Path, version: str, verdict: str, text: str
) -> None:
    """Is held to be as the nearest one that is known, and that is said, by the check of a file too."""
    version_of(training, version, "2.9.0", {})
    found = verdicts(site, **training)[1]["mindformers"]
    assert found["verdict"] == verdict
    assert text in found["text"]
    assert bool(found["advice"]) == (verdict == "note")
    said = site.glmd("check", good_yaml, **training).stderr
    assert ("a version that glmd does not know, by the rules of" in said) == (verdict == "note")


def test_devices_are_asked_for_their_addresses(site: Site, training: dict[str, str], tmp_path: Path) -> None:
    """From hccn.conf where there is no tool, with a word of warning."""
    conf = tmp_path / "hccn.conf"
    conf.write_text("address_0=192.168.100.101\naddress_1=192.168.101.101\n")
    _, checks = verdicts(site, **training, GLMD_DEVICES="0-1", GLMD_RANK_TABLE__HCCN_CONF=str(conf))
    assert "192.168.100.101, 192.168.101.101" in checks["device addresses"]["text"]
    _, checks = verdicts(site, **training, GLMD_DEVICES="0-2", GLMD_RANK_TABLE__HCCN_CONF=str(conf))
    assert "device 2" in checks["device addresses"]["text"]


def test_devices_fit_the_product(site: Site, training: dict[str, str]) -> None:
    """Seven cards are all of an A2 server's, not of a 910A's; without a product, doctor says whose they can be."""
    found = {
        topology: verdicts(site, **training, GLMD_DEVICES="0-6", GLMD_RANK_TABLE__TOPOLOGY=topology)[1]["devices"]
        for topology in ("A2", "910A", "any")
    }
    assert (found["A2"]["verdict"], found["A2"]["text"]) == ("ok", "[0,7), topology 910B")
    assert found["910A"]["verdict"] == "note"
    assert "takes 1, 2, 4 or 8 devices, not 7; of these, [0,4) would be possible" in found["910A"]["text"]
    assert "only a server of the topology 910B or 16-card takes 7 devices" in found["any"]["text"]


def test_a_running_daemon_is_told(site: Site, training: dict[str, str]) -> None:
    """With what it does."""
    with site.daemon():
        _, checks = verdicts(site, **training)
    assert checks["daemon"]["verdict"] == "ok"


def test_people_get_a_checklist(site: Site, training: dict[str, str]) -> None:
    """A line each, what to do under it, and a conclusion."""
    printed = site.glmd("doctor", **training).stdout
    assert "ok       python" in printed
    assert printed.splitlines()[-1] == "nothing essential lacks"


def cycle(site: Site, template: Path, **changed: str | None) -> None:
    """Give the site a nightly cycle."""
    entry = {"name": "glm-6b", "cron": "30 2 * * mon-fri", "timezone": "Asia/Shanghai", "devices": "[0,2)", **changed}
    nightly = {"nightly": [{**entry, "template": str(template)}]}
    (site.root.path / "glmd.yaml").write_text(json.dumps(nightly))


def test_the_next_nights_are_told(site: Site, training: dict[str, str], good_yaml: Path) -> None:
    """The next five of each cycle, with weekday and offset for people, in ISO 8601 for programs."""
    cycle(site, good_yaml)
    told = json.loads(site.glmd("doctor", "--json", **training).stdout)["nights"]
    assert [night["name"] for night in told] == ["glm-6b"]
    times = [datetime.fromisoformat(time) for time in told[0]["next"]]
    assert len(times) == 5
    assert times == sorted(set(times))
    assert all(time > datetime.now(UTC) for time in times)
    assert {(time.weekday() < 5, f"{time:%H:%M %z}") for time in times} == {(True, "02:30 +0800")}
    assert [time.isoformat() for time in times] == told[0]["next"]
    printed = site.glmd("doctor", **training).stdout.splitlines()
    (head,) = [place for place, line in enumerate(printed) if "30 2 * * mon-fri in Asia/Shanghai" in line]
    assert printed[head].split()[:2] == ["nights", "glm-6b"]
    shown = [line.strip() for line in printed[head + 1 : head + 6]]
    assert shown == [f"{time:%a %Y-%m-%d %H:%M}+08:00" for time in times]
    assert printed[-1] == "nothing essential lacks"


def test_without_a_zone_nights_are_the_hosts(site: Site, training: dict[str, str], good_yaml: Path) -> None:
    """With the offset that the host's clocks will have then."""
    cycle(site, good_yaml, cron="0 2 1 jan,jul *", timezone=None)
    (told,) = json.loads(site.glmd("doctor", "--json", **training, TZ="Europe/Berlin").stdout)["nights"]
    assert {time[4:] for time in told["next"]} == {"-01-01T02:00:00+01:00", "-07-01T02:00:00+02:00"}


def test_without_cycles_there_are_no_nights(site: Site, training: dict[str, str]) -> None:
    """An empty list."""
    assert json.loads(site.glmd("doctor", "--json", **training).stdout)["nights"] == []


@pytest.mark.parametrize(
    ("changed", "what"),
    (
        ({"cron": "0 25 * * *"}, "nightly glm-6b: cron '0 25 * * *': hour: '25' has 25; allowed are 0 to 23"),
        ({"cron": "0 0 31 jun *"}, "nightly glm-6b: cron '0 0 31 jun *': day of month: '31' never comes"),
        ({"timezone": "asia/shanghai"}, "is no zone of the tz database; write a name as Asia/Shanghai"),
    ),
)
def test_a_cycle_without_nights_is_an_error(site: Site, good_yaml: Path, changed: dict[str, str], what: str) -> None:
    """Settings that cannot be used are no finding."""
    cycle(site, good_yaml, **changed)
    done = site.glmd("doctor", "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    assert what in done.stderr


def test_a_template_is_held_against_the_check(site: Site, training: dict[str, str], good_yaml: Path) -> None:
    """What would be rejected tonight is told today, with the place; as a note, for all else can be done."""
    cycle(site, good_yaml)
    code, checks = verdicts(site, **training)
    assert (code, checks["nightly glm-6b"]["verdict"]) == (0, "ok")
    cycle(site, good_yaml, devices="99")
    code, checks = verdicts(site, **training)
    assert (code, checks["nightly glm-6b"]["verdict"]) == (0, "note")
    assert "99" in checks["nightly glm-6b"]["text"]
    assert f"glmd check {good_yaml}" in checks["nightly glm-6b"]["advice"]
    good_yaml.unlink()
    code, checks = verdicts(site, **training)
    assert (code, checks["nightly glm-6b"]["verdict"]) == (0, "note")
    assert f"template {good_yaml} cannot be read" in checks["nightly glm-6b"]["text"]


def test_the_last_night_of_each_cycle_is_told(site: Site, training: dict[str, str], good_yaml: Path) -> None:
    """What it came to, and where more is said; nothing of a cycle that has had none of late."""
    cycle(site, good_yaml)
    diary, now = Diary(site.root.path), datetime.now(UTC).replace(microsecond=0)
    assert "last glm-6b" not in verdicts(site, **training)[1]
    diary.run("glm-6b", now - timedelta(days=2), *DONE)
    _, checks = verdicts(site, **training)
    assert checks["last glm-6b"]["verdict"] == "ok"
    assert checks["last glm-6b"]["text"].startswith("done, ")
    diary.run("glm-6b", now - timedelta(days=1), *FAILED, reason="rank 3 failed first")
    diary.run("glm-6b", now, *TRAINING)
    code, checks = verdicts(site, **training)
    assert (code, checks["last glm-6b"]["verdict"]) == (0, "note")
    assert checks["last glm-6b"]["text"].endswith(": rank 3 failed first")
    assert "glmd night " in checks["last glm-6b"]["advice"]


def test_when_the_disk_is_full(site: Site, training: dict[str, str]) -> None:
    """At the rate of the jobs of a fortnight, less what was pruned; nothing is said where nothing is known."""
    assert "full in" not in verdicts(site, **training)[1]["disk"]["text"]
    diary, now = Diary(site.root.path), datetime.now(UTC)
    for days in (1, 5, 13, 20):
        job = diary.job(f"run{days}", now - timedelta(days=days), *DONE)
        diary.sql("INSERT INTO results (job, bytes, shards) VALUES (?, ?, ?)", job.id, 14 * 10**9, 63 * 10**9)
    prune = "INSERT INTO prunings (job, part, bytes, begun, ended, by, reason) VALUES (?, 'shards', ?, ?, ?, '', '')"
    for days, size in ((2, 63 * 10**9), (20, 10**15)):
        at = (now - timedelta(days=days)).isoformat()
        diary.sql(prune, 1, size, at, at)
    assert " at 12.0 GB a day" in verdicts(site, **training)[1]["disk"]["text"], "3 jobs of 77 GB less 63 GB in 14 days"
    diary.sql("UPDATE results SET bytes = 1000000000000000")
    found = verdicts(site, **training)[1]["disk"]
    assert (found["verdict"], "full in less than a day" in found["text"]) == ("note", True)
    diary.sql(prune, 1, 10**17, now.isoformat(), now.isoformat())
    assert "jobs took no more of it in 14 days" in verdicts(site, **training)[1]["disk"]["text"]


def test_what_could_be_removed_is_told(site: Site, training: dict[str, str]) -> None:
    """How much, and what takes somebody to ask for it."""
    assert verdicts(site, **training)[1]["retention"]["text"] == "nothing is to be removed"
    diary = Diary(site.root.path)
    for number in (1, 2):
        job = diary.job(f"run{number}", datetime.now(UTC) - timedelta(days=190), *FAILED)
        directory = job.directory(site.root.path)
        directory.path.mkdir()
        directory.submitted.write_bytes(b"x" * 1000)
        diary.sql("INSERT OR REPLACE INTO results (job) VALUES (?)", job.id)
    found = verdicts(site, **training)[1]["retention"]
    assert found["verdict"] == "note"
    assert found["text"] == "2.0 kB of ended jobs is not kept: 2 parts of 2 jobs; glmd removes 0 bytes of it by itself"
    assert "glmd prune" in found["advice"]


def test_slurm_is_compared_with_the_store(site: Site, tmp_path: Path) -> None:
    """Where something of the root was ever there; that it does not answer is said, and no disagreement."""
    place = tmp_path / "slurm"
    place.mkdir()
    tools = Tools(place)
    settings = {"slurm": {"commands": {name: str(place / name) for name in NAMES}}}
    (site.root.path / "glmd.yaml").write_text(json.dumps(settings))  # JSON is YAML
    tools.say("squeue", "7|RUNNING|None|N/A|n[1-2]|glmd-0123abcd-0042-1-train|main\n")
    assert site.glmd("doctor", "--state").stdout == "root and store agree\n"
    (site.root.path / ID_FILE).write_text("0123abcd")
    done = site.glmd("doctor", "--state")
    assert done.returncode == 1
    assert "  scancel --name=glmd-0123abcd-0042-1-train 7" in done.stdout.splitlines()
    tools.say("squeue", "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)", 1)
    done = site.glmd("doctor", "--state")
    assert (done.returncode, done.stdout) == (0, "root and store agree\n")
    assert done.stderr.startswith("Slurm does not answer, and is not looked at: squeue: slurm_load_jobs error")


def test_without_slurm_the_doctor_says_what_to_write(site: Site) -> None:
    """With --slurm: exit code 1, and the same form as of the host."""
    done = site.glmd("doctor", "--slurm", "--json")
    assert done.returncode == 1
    (check,) = json.loads(done.stdout)["checks"]
    assert (check["name"], check["verdict"]) == ("slurm", "missing")


def test_root_and_store_are_compared(site: Site) -> None:
    """With --state: exit code 0 when they agree, else 1 with what is wrong and its repair, down or up.

    A daemon that comes up fails the queued job whose directory is gone, and mends nothing else.
    """
    assert site.glmd("doctor", "--state").stdout == "root and store agree\n"
    job = site.add()
    job.directory(site.root.path).path.rmdir()
    done = site.glmd("doctor", "--state")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"job-without-directory  job {job.id}",
        f"  {job.directory(site.root.path).path}",
        "  it is queued, and has no directory",
        f"  glmd cancel {job.id}, and drop its file again",
        "1 disagreement",
    ]
    (site.root.rejected / "alone.yaml").touch()
    with site.daemon():  # which lets the job fail, and leaves alone what lies in rejected/
        said = json.loads(site.glmd("doctor", "--state", "--json").stdout)
    assert not said["ok"]
    assert [(each["kind"], each["job"]) for each in said["disagreements"]] == [("rejected-without-reason", None)]


@pytest.mark.parametrize(
    ("program", "told"),
    (
        ("", "it said nothing"),
        ("echo rubbish", "it answered: rubbish"),
        ("echo 3", "it answered: 3"),
        ("yes rubbish", "cannot import mindspore"),
    ),
)
def test_a_program_that_is_no_python_is_told(tmp_path: Path, program: str, told: str) -> None:
    """Whatever it prints, and however much."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    found, _ = ask_interpreter(path)
    assert found.verdict is Verdict.MISSING
    assert told in found.text


def test_a_root_that_is_no_directory_is_told(tmp_path: Path) -> None:
    """With all that follows, as for any other finding."""
    (tmp_path / "file").touch()
    found = {each.name: each for each in examine(Settings(root=tmp_path / "file"), None)}
    assert "is no directory" in found["root"].text
    assert found["daemon"].verdict is Verdict.NOTE


def test_a_root_that_was_never_used_is_told(site: Site, tmp_path: Path) -> None:
    """There is nothing to compare."""
    done = site.glmd("doctor", "--state", "--root", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "no store there" in done.stderr


def test_which_mindformers_a_checkout_is_taken_for(site: Site, training: dict[str, str]) -> None:
    """Its version, where that was read, and by whose rules YAMLs are checked; an unknown one is no reason to fail."""
    code, checks = verdicts(site, **training)
    assert code == 0
    assert checks["mindformers"]["verdict"] == "note"
    assert "unknown version" in checks["mindformers"]["text"]
    assert "training.mindformers" in checks["mindformers"]["advice"]
    checkout = Path(training["GLMD_TRAINING__CHECKOUT"])
    (checkout / "mindformers").mkdir()
    (checkout / "mindformers" / "__init__.py").write_text('__version__ = "1.3.2"\n')
    _, checks = verdicts(site, **training)
    assert (
        checks["mindformers"]["text"]
        == f"MindFormers 1.3.2 ({checkout}); YAMLs are checked by the rules of 1.3 and 1.4"
    )
    _, checks = verdicts(site, **training, GLMD_TRAINING__MINDFORMERS="0.8")
    assert "MindFormers 0.8 (training.mindformers); YAMLs are checked by the rules of 0.8 and older" in str(checks)
