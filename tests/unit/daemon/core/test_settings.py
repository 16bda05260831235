"""Settings: documented, overridable, and checked at once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from daemon.commands.exit_codes import message
from daemon.core.names import job_name
from daemon.core.setting_sections import NightlySettings, WatchSettings
from daemon.core.settings import Settings, SettingsError, load_settings
from daemon.core.slurm_settings import SlurmSettings
from handlers.rank_table.topology import Topology
from handlers.run_names import run_name

if TYPE_CHECKING:
    from pydantic import BaseModel

DOCUMENTED = Path(__file__).parents[4] / "configs" / "glmd.yaml"


def write(path: Path, text: str) -> Path:
    """Write a settings file, and return it."""
    path.write_text(text)
    return path


def test_the_commented_file_says_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """configs/glmd.yaml holds every setting, each with the default that the code has."""
    monkeypatch.delenv("GLMD_TRAINING__PYTHON", raising=False)
    assert load_settings(DOCUMENTED, None) == Settings()
    documented = YAML(typ="safe").load(DOCUMENTED.read_text())
    assert names(documented) == names(Settings().model_dump())
    del tmp_path


def names(tree: dict[str, object]) -> dict[str, object]:
    """Return the names of settings, nested."""
    return {key: names(value) if isinstance(value, dict) else None for key, value in tree.items()}


def test_the_commented_section_of_slurm_says_the_defaults(tmp_path: Path) -> None:
    """It is none by default; the example is what a site gets that writes an empty one."""
    text = DOCUMENTED.read_text().split("\n# slurm:\n", 1)[1].split("\n\n", 1)[0]
    shown = "slurm:\n" + "\n".join(line.removeprefix("# ") for line in text.splitlines())
    settings = load_settings(write(tmp_path / "glmd.yaml", shown), None).slurm
    assert settings == SlurmSettings()
    assert names(YAML(typ="safe").load(shown)["slurm"]) == names(SlurmSettings().model_dump())


@pytest.mark.parametrize(
    ("wrong", "told"),
    (
        ("options: [--requeue]", "--requeue is glmd's own"),
        ("options: [nice]", "is no option of sbatch"),
        ("devices_per_node: 0", "greater than or equal to 1"),
        ("nodes: 2", "nodes"),
    ),
)
def test_slurm_that_cannot_be_is_refused(tmp_path: Path, wrong: str, told: str) -> None:
    """Before anything is submitted by it."""
    with pytest.raises(SettingsError, match=told):
        load_settings(write(tmp_path / "glmd.yaml", f"slurm: {{{wrong}}}\n"), None)


@pytest.mark.parametrize("entry", ("watch", "nightly"))
def test_the_commented_lists_name_every_field(entry: str) -> None:
    """The examples of list entries show all fields there are."""
    text = DOCUMENTED.read_text()
    item: type[BaseModel] = (
        WatchSettings if entry == "watch" else Settings.model_fields["nightly"].annotation.__args__[0]
    )  # type: ignore[union-attr]
    block = text.split(f"\n{entry}: []\n", 1)[1].split("\n\n", 1)[0]
    shown = YAML(typ="safe").load("\n".join(line.removeprefix("# ") for line in block.splitlines()))
    assert set(shown[0]) == set(item.model_fields)


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GLMD_TRAINING__PYTHON changes one value and leaves its neighbours."""
    file = write(tmp_path / "glmd.yaml", "training: {python: /from/file, grace: 5s}\n")
    monkeypatch.setenv("GLMD_TRAINING__PYTHON", "/from/environment")
    training = load_settings(file, None).training
    assert (training.python, training.grace) == (Path("/from/environment"), 5.0)


@pytest.mark.parametrize(
    ("word", "topology"), (("A3", Topology.A3), ("a2", Topology.B910), ("16-card", Topology.CARDS16))
)
def test_a_product_is_named_in_its_own_words(tmp_path: Path, word: str, topology: Topology) -> None:
    """The chip's name or the product's."""
    file = write(tmp_path / "glmd.yaml", f"rank_table: {{topology: {word}}}\n")
    assert load_settings(file, None).rank_table.topology is topology


def test_root_option_wins(tmp_path: Path) -> None:
    """--root is what the user said last."""
    file = write(tmp_path / "glmd.yaml", "root: /elsewhere\n")
    assert load_settings(file, tmp_path).root == tmp_path


def test_a_root_may_bring_its_own_settings(tmp_path: Path) -> None:
    """ROOT/glmd.yaml is used when no file is named."""
    write(tmp_path / "glmd.yaml", 'devices: "[0,2)"\n')
    assert load_settings(None, tmp_path).devices == (0, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    (
        (
            "nightly: [{name: glm, cron: '0 2 * * *', template: t, alarm: 0}]",
            r"alarm: a run needs time after it is due",
        ),
        ("nightly: [{name: glm, cron: '0 2 * * *', template: t, alarm: soon}]", r"alarm: 'soon' is not a duration"),
        ("stop_on: {not_finite: 0}", r"stop_on\.not_finite: 0 is no number of printed lines"),
        ("stop_on: {not_finite: true}", r"stop_on\.not_finite"),
        ("stop_on: {rise: 1.0}", r"stop_on\.rise: 1\.0 is no multiple"),
        ("stop_on: {rise: .inf}", r"stop_on\.rise"),
        ("stop_on: {raise: 2}", "raise"),
        ("divices: '[0,8)'", "divices"),
        ("devices: '[8,0)'", "devices"),
        ("inbox: {settle: soon}", "inbox.settle"),
        ("inbox: {rescan: 0}", "inbox.rescan"),  # the loop would turn without a pause
        ("inbox: {rescan: 2d}", "inbox.rescan"),
        ("inbox: {settle: .inf}", "inbox.settle"),
        ("inbox: {settle: .nan}", "inbox.settle"),
        (f"inbox: {{settle: {10**400}}}", "inbox.settle"),
        ("inbox: {max_bytes: 0}", "inbox.max_bytes"),
        ("inbox: {max_bytes: 1000000000000}", "inbox.max_bytes"),
        ("inbox: {max_bytes: true}", "inbox.max_bytes"),
        ("training: {grace: .inf}", "training.grace"),
        ("training: {grace: 1m2h}", "training.grace"),
        ("training: {grace: 30m30m}", "training.grace"),
        ("watch: [{path: /t, ranks: 4294967296}]", r"watch\[0\]\.ranks"),
        ("watch: [{path: /t, ranks: true}]", r"watch\[0\]\.ranks"),
        ("watch: [{path: /t, quiet: .inf}]", r"watch\[0\]\.quiet"),
        ("watch: [{path: /t, tag: 1_1000000000}]", r"watch\[0\]\.tag"),
        ("devices: '99999999999999999999'", "devices"),
        ("rank_table: {topology: Atlas}", "rank_table.topology"),
        ('root: "/a\\0b"', "root: it has a NUL"),
        ('root: "/a\\ud800b"', "root: it has half a character"),
        ('watch: [{path: "/a\\0b"}]', r"watch\[0\]\.path: it has a NUL"),
        ('allowed_paths: [/a, "/a\\0b"]', "allowed_paths: it has a NUL"),
        ('training: {environment: {A: "a\\0b"}}', r"training\.environment\.A: it has a NUL"),
        ('training: {environment: {"": a}}', r"training\.environment"),
        ('training: {environment: {"A=B": a}}', r"training\.environment"),
        ("inbox: {settle: 2026-13-45}", "glmd.yaml"),
        (f"inbox: {{max_bytes: {'9' * 5000}}}", "glmd.yaml"),
        (f"inbox: {{max_bytes: 0x{'f' * 5000}}}", "a number of 5002 characters is too long"),
        ("[" * 10_000, "glmd.yaml"),
        (
            "a: &a [x, x, x, x]\n"
            + "".join(f"b{n}: &b{n} [{'*a, ' * 9}]\n".replace("*a", f"*b{n - 1}" if n else "*a") for n in range(40)),
            "glmd.yaml",
        ),
        ("#" * (1 << 20), "larger than"),
        ("inbox: {settle: a\x85b}", "U\\+0085"),
        ("training: [a", "glmd.yaml"),
        ("- a list", "mapping"),
        ("nightly: [{name: 'a b', cron: x, template: t}]", "nightly"),
        ("nightly: [{name: a, cron: x, template: t}, {name: a, cron: x, template: t}]", "same name"),
    ),
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, says: str) -> None:
    """Every mistake is an error that names the file and the setting."""
    with pytest.raises(SettingsError, match=says) as caught:
        load_settings(write(tmp_path / "glmd.yaml", text), None)
    assert "glmd.yaml" in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that was named must be there."""
    with pytest.raises(SettingsError, match="no such"):
        load_settings(tmp_path / "none.yaml", None)


def test_allowed_paths_are_absolute() -> None:
    """A relative one would mean another place for `glmd check` than for the daemon."""
    with pytest.raises(ValidationError, match="write it from the root"):
        Settings(allowed_paths=(Path("data"),))


@pytest.mark.parametrize("name", ("_glm", "-glm", "x" * 48))
def test_a_cycle_has_no_name_by_which_its_runs_would_not_be_found(name: str) -> None:
    """Of a job's name the ends are trimmed: such a run would never count as unfinished, and be doubled."""
    with pytest.raises(ValidationError, match="name"):
        NightlySettings(name=name, cron="0 2 * * *", template=Path("t.yaml"))


def test_the_longest_name_of_a_cycle_is_that_of_its_jobs_too() -> None:
    """With the time of the run behind it."""
    cycle = NightlySettings(name="x" * 46 + "_", cron="0 2 * * *", template=Path("t.yaml"))
    run = run_name(cycle.name, datetime(2026, 11, 24, tzinfo=UTC))
    assert job_name(f"{run}.yaml") == run


@pytest.mark.parametrize("text", ('"0.8"', "1.9.0", "'r1.3'"))
def test_a_version_of_mindformers(tmp_path: Path, text: str) -> None:
    """It is named as its packages and branches are."""
    file = write(tmp_path / "glmd.yaml", f"training: {{mindformers: {text}}}\n")
    assert load_settings(file, None).training.mindformers == text.strip("'\"")


@pytest.mark.parametrize(
    ("text", "what"), (("1.10", "put the version in quotes"), ("newest", "is no version"), ("[1]", "string"))
)
def test_what_is_no_version_of_mindformers(tmp_path: Path, text: str, what: str) -> None:
    """A number is refused, for YAML reads 1.10 as 1.1."""
    file = write(tmp_path / "glmd.yaml", f"training: {{mindformers: {text}}}\n")
    with pytest.raises(SettingsError, match=what):
        load_settings(file, None)


@pytest.mark.parametrize(
    ("text", "first", "says"),
    (
        ("root: /r\ninbox:\n  setle: 1s\n", "3:3: inbox.setle: is not a key that glmd knows", "did you mean `settle`?"),
        ("inbix: {}\n", "1:1: inbix: is not a key that glmd knows", "did you mean `inbox`?"),
        ("watch:\n- path: /a\n  quite: 1s\n", "3:3: watch[0].quite: is not a key", "did you mean `quiet`?"),
        ("watch:\n- tag: last\n", "2:3: watch[0].path: is missing", "tag"),
        ("inbox:\n  settle: soon\n", "2:11: inbox.settle: ", "soon"),
        ("runner: sistemd\n", "1:9: runner: 'sistemd' is not known here", "'systemd'"),
        ("log: [a]\n", "1:1: log: a list is not a mapping", "log"),
        ("root: /r\ntraining: [a\n", "3:1: ", "line 2"),
        ("root: /a\nroot: /b\n", "2:1: root: ", "root"),
        ("root: /a\x00\n", "1:9: ", "U+0000"),
        ("inbox:\n\tsettle: 1s\n", "2:1: ", "not with tabs"),
        ("1: 2\n", "1:1: 1: is not a key", "it may be root"),
        ("null: 2\n", "1:1: ", "is not a key"),
        ("inbox: {}\nInbox: {settle: 9}\n", "2:1: Inbox: is not a key", "did you mean `inbox`?"),
        ("inbox: {SETTLE: 9}\n", "1:9: inbox.SETTLE: is not a key", "did you mean `settle`?"),
        ("a: &a [*a]\n", "1:4: a[0]: ", "contains itself"),
        ("[" * 5000, "1:", "deep"),
        ("root: relative\n", "1:7: root: relative is a relative path", "from the root"),
        ("root: ''\n", "1:7: root: names no file", "from the root"),
        ('root: "/a\\0b"\n', "1:7: root: it has a NUL", "no path"),
        ("root: [a]\n", "1:1: root: a list does not fit: it is no path", "/a/b"),
        ("training: {python: ''}\n", "1:20: training.python: names no file", "/"),
        ("watch: /data\n", "1:8: watch: '/data' does not fit: it is no list", "[a, b]"),
        ("watch:\n- /data\n", "2:3: watch[0]: '/data' is not a mapping", "/data"),
        ("nightly: {name: a}\n", "1:1: nightly: a mapping does not fit: it is no list", "[a, b]"),
        ("log: {level: LOUD}\n", "1:14: log.level: 'LOUD' is not known here", "'warning'"),
        ("training:\n  environment:\n    A: 1\n", "3:8: training.environment.A: has to be text", "in quotes"),
        ("training:\n  environment: {A: x, A: y}\n", "2:23: training.environment.A: duplicate key", "line 2"),
    ),
)
def test_what_is_wrong_has_its_line_and_column(tmp_path: Path, text: str, first: str, says: str) -> None:
    """As for any YAML, with the key that was meant; no word of the libraries that read it."""
    file = write(tmp_path / "glmd.yaml", text)
    with pytest.raises(SettingsError) as caught:
        load_settings(file, None)
    told = message(caught.value)
    assert told.startswith(f"{file}:{first}")
    assert says in told
    for word in ("unicode string", "byte string", "Extra inputs", "pydantic", "tuple", "class", "pattern"):
        assert word not in told


def test_a_wrong_override_names_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And not a line of the file, which does not hold it."""
    monkeypatch.setenv("GLMD_INBOX__SETTLE", "soon")
    file = write(tmp_path / "glmd.yaml", "inbox: {settle: 1s, setle: 2s}\n")
    with pytest.raises(SettingsError, match="GLMD_INBOX__SETTLE: ") as caught:
        load_settings(file, None)
    assert f"{file}:1:21: inbox.setle" in str(caught.value)


def test_what_is_wrong_shows_no_value_of_the_trainings_environment(tmp_path: Path) -> None:
    """It may be a token, and whoever asks for a reload reads the answer."""
    file = write(tmp_path / "glmd.yaml", "training:\n  environment: {TOKEN: [s3cret]}\n")
    with pytest.raises(SettingsError, match=r"training\.environment\.TOKEN") as caught:
        load_settings(file, None)
    assert "s3cret" not in str(caught.value)


def test_settings_that_cannot_be_read_say_which_file(tmp_path: Path) -> None:
    """Not the error's number alone."""
    with pytest.raises(SettingsError, match=f"^{tmp_path}: the settings cannot be read: Is a directory"):
        load_settings(tmp_path, None)


@pytest.mark.parametrize("word", ("off", "none", "null", "false", "'off'"))
def test_stop_on_may_be_off(tmp_path: Path, word: str) -> None:
    """Written as people write it."""
    file = write(tmp_path / "glmd.yaml", f"stop_on: {{not_finite: {word}, rise: {word}}}\n")
    stop_on = load_settings(file, None).stop_on
    assert (stop_on.not_finite, stop_on.rise) == (None, None)


def test_stop_on_can_be_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """There all is text."""
    monkeypatch.setenv("GLMD_STOP_ON__NOT_FINITE", "off")
    monkeypatch.setenv("GLMD_STOP_ON__RISE", "2.5")
    assert (Settings().stop_on.not_finite, Settings().stop_on.rise) == (None, 2.5)


@pytest.mark.parametrize(
    ("text", "says"),
    (
        ("evaluations: {bleu: {}}", "evaluations.bleu: command is missing"),
        ("evaluations: {bleu: {command: ['  ']}}", "command is missing"),
        ("evaluations: {bleu: {command: bleu.py}}", "list"),
        ("evaluations: {bleu: {comand: [a]}}", "did you mean `command`?"),
        ("evaluations: {devices: {comand: [a]}}", "did you mean `command`?"),
        ("evaluations: {'b l': {command: [a]}}", "no name"),
        ("evaluations: {bleu: {command: [a], timeout: 0}}", "timeout"),
        ("evaluations: {bleu: {command: [a], timeout: none}}", "timeout"),
        ("evaluations: {bleu: {command: [a], devices: '9'}}", "9 are not among `devices`"),
        ("evaluations: {mindformers: {command: [a]}}", "give yours another name"),
        ("gate: {evaluate: bleu}", "bleu is none of `evaluations`: mindformers"),
        ("gate: {metrics: {bleu: {min: 1}}}", "nothing measures them"),
        ("gate: {loss: {max_rise: 0.05}}", 'write it in per cent, in quotes, up to 1000: "5%"'),
        ("gate: {loss: {maxrise: '5%'}}", "did you mean `max_rise`?"),
        ("gate: {loss: {max: .nan}}", "nan is no limit"),
    ),
)
def test_a_wrong_gate_is_named(tmp_path: Path, text: str, says: str) -> None:
    """With what is right, so that no night is let in or kept out by a slip."""
    file = tmp_path / "glmd.yaml"
    file.write_text(f"{text}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file, None)
    assert says in str(caught.value)


def test_evaluations_have_devices_or_none(tmp_path: Path) -> None:
    """MindFormers' own may have them without a command; it is there also where nothing is said of it."""
    file = tmp_path / "glmd.yaml"
    file.write_text(
        "evaluations: {a: {command: [x], devices: none}, b: {command: [x], devices: '[0,2)', timeout: 30m}, "
        "mindformers: {devices: '1'}}\ngate: {evaluate: mindformers}\n"
    )
    settings = load_settings(file, None)
    assert [one.devices for one in settings.evaluations.values()] == [None, (0, 1), (1,)]
    assert settings.evaluations["b"].timeout == 1800
    assert set(settings.known_evaluations) == {"a", "b", "mindformers"}
    assert Settings().known_evaluations == ("mindformers",)


def test_what_is_wrong_shows_no_value_of_an_evaluations_environment(tmp_path: Path) -> None:
    """It may be a token, and whoever asks for a reload reads it."""
    file = tmp_path / "glmd.yaml"
    file.write_text("evaluations: {a: {command: [x], environment: {TOKEN: 31337}}}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file, None)
    assert "31337" not in str(caught.value)
