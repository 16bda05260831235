"""Promises of `glmd nights` and `glmd night`."""

import json
import subprocess
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from daemon.core.night_runs import Outcome
from daemon.core.states import State
from handlers.codes import Code
from tests.unit.daemon.commands.conftest import Site, environment
from tests.unit.daemon.face.diary import DONE, FAILED, TRAINING, Diary


def last_night() -> date:
    """Return the night that `glmd nights` shows last by now, by the clock of UTC: it is another one from noon on."""
    now = datetime.now(UTC)
    return now.date() if now.hour < 12 else now.date() + timedelta(days=1)


def due(days: int, hour: int = 2) -> datetime:
    """Return a time of the night so many days ago."""
    return datetime.combine(last_night(), time(hour), UTC) - timedelta(days=days)


@pytest.fixture
def diary(site: Site) -> Diary:
    """Return the site's store, to be filled."""
    return Diary(site.root.path)


def row(printed: str, cycle: str) -> str:
    """Return a cycle's line."""
    return next(line for line in printed.splitlines() if line.startswith(f"{cycle} "))


@pytest.mark.parametrize(("encoding", "marks"), (("utf-8", "✔ ✖ ! – ○ ▶"), ("ascii", "+ x ! - o >")))
def test_a_row_shows_the_nights_of_a_cycle(site: Site, diary: Diary, encoding: str, marks: str) -> None:
    """In signs that the output's encoding has."""
    diary.run("glm", due(6), *DONE, promoted=True, loss=1.71)
    diary.run("glm", due(5), *FAILED)
    diary.run("glm", due(4), *DONE, code="gate.loss", loss=2.31)
    diary.note("glm", due(3), Outcome.SKIPPED, "the run before is not over", Code.NIGHT_SKIPPED)
    diary.run("glm", due(2), *DONE, outcome=Outcome.CAUGHT_UP, promoted=True, loss=1.65)
    diary.run("glm", due(1), *TRAINING)
    done = site.glmd("nights", "--last", "7", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    shown = row(done.stdout, "glm").split()
    assert shown[1:7] == marks.split()
    assert shown[7:9] == ["40%", "1"]
    assert shown[9:12] == ["1.71", "2.31", "1.65"]


def test_nights_as_json(site: Site, diary: Diary) -> None:
    """With the documented keys."""
    job = diary.run("glm", due(1), *DONE, promoted=True, loss=1.71)
    diary.count("glm", due(1))
    told = json.loads(site.glmd("nights", "--last", "3", "--json").stdout)
    assert told["since"] == (last_night() - timedelta(days=2)).isoformat()
    (cycle,) = told["cycles"]
    assert (cycle["cycle"], cycle["success_rate"], cycle["streak"]) == ("glm", 1.0, 1)
    assert datetime.fromisoformat(cycle["next_due"]).hour == 2
    (run,) = cycle["runs"]
    assert run == {
        "due": due(1).isoformat(), "night": (last_night() - timedelta(days=1)).isoformat(), "mark": "done",
        "outcome": "dropped", "job": job.id, "state": "done", "reason": "", "code": "", "promoted": True,
        "continues": None, "final_loss": 1.71, "best_loss": 0.855, "seconds": 14400.0, "bytes": 13 << 30,
        "shards": None,
    }  # fmt: skip


def test_notices_are_told(site: Site, diary: Diary) -> None:
    """Below the table and above that of jobs: of each kind the newest; and as JSON each, until a good night."""
    for nights in (3, 2):
        diary.note("glm", due(nights), Outcome.SKIPPED, "the run before is not over", Code.NIGHT_SKIPPED)
    night = f"glm: the night of {due(2).astimezone():%Y-%m-%d %H:%M} was left out"
    wanted = f"notice: {night}: the run before is not over; 1 more before it"
    assert site.glmd("nights").stdout.splitlines()[-1] == wanted
    assert site.glmd("status").stdout.splitlines()[1] == wanted
    for command in ("nights", "status"):
        told = json.loads(site.glmd(command, "--json").stdout)["notices"]
        assert [(each["kind"], each["cycle"], each["due"]) for each in told] == [
            ("nightly_skipped", "glm", due(nights).isoformat()) for nights in (3, 2)
        ]
    diary.run("glm", due(1), *DONE)
    assert "notice: " not in site.glmd("status").stdout + site.glmd("nights").stdout


def test_a_root_without_nights(site: Site) -> None:
    """It is told how one is set up."""
    done = site.glmd("nights")
    assert done.returncode == 0
    assert "no nights yet" in done.stdout
    assert site.glmd("night").stdout.count("nothing needs you") == 1


def test_since_takes_a_date(site: Site, diary: Diary) -> None:
    """The first night that is shown."""
    diary.run("glm", due(20), *DONE)
    since = (last_night() - timedelta(days=20)).isoformat()
    assert len(json.loads(site.glmd("nights", "--since", since, "--json").stdout)["cycles"][0]["runs"]) == 1
    assert json.loads(site.glmd("nights", "--json").stdout)["cycles"] == []


@pytest.mark.parametrize(
    "words",
    (
        ("nights", "--since", "yesterday"),
        ("nights", "--since", "2999-01-01"),
        ("nights", "--since", "0001-01-01"),
        ("nights", "--last", "0"),
        ("nights", "--last", "1000000"),
        ("nights", "--last", "x"),
        ("nights", "--last", "3", "--since", "2026-11-28"),
        ("night", "2026-13-01"),
        ("night", "28.11.2026"),
        ("night", "0001-01-01"),
        ("night", "9999-12-31"),
        ("night", ""),
        ("night", "2026-11-28\x1b[31m"),
    ),
)
def test_what_is_no_night_is_bad_usage(site: Site, words: tuple[str, ...]) -> None:
    """With what would be right, and nothing that drives a terminal."""
    done = site.glmd(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr


def test_what_needs_you_comes_first_and_is_the_exit_code(site: Site, diary: Diary) -> None:
    """With the job's reason, and the command to type."""
    night = last_night().isoformat()
    diary.run("good", due(0), *DONE, promoted=True, loss=1.65)
    assert site.glmd("night", night).returncode == 0
    why = "rank 3 on device 3 exited 1 first: EI0006; cause: its peers did not answer; to do: see the link"
    job = diary.run("bad", due(0, 3), *FAILED, reason=why, code="rank.EI0006")
    done = site.glmd("night", night, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert "1 done, 1 failed" in lines[0]
    assert lines[2] == "NEEDS YOU"
    assert lines[3] == f"  {job.label}: failed: {why}"
    assert lines[4:6] == [f"    glmd retry {job.id}", "    glmd explain rank.EI0006"]
    assert lines.index("NEEDS YOU") < next(n for n, line in enumerate(lines) if line.startswith("✔"))


def test_a_night_in_words(site: Site, diary: Diary) -> None:
    """When a run was due and began, how long it took, its loss beside the one before, and whether it is latest."""
    before = diary.run("glm", due(1), *DONE, promoted=True, loss=1.71)
    job = diary.run("glm", due(0), *DONE, promoted=True, loss=1.65)
    diary.sql("UPDATE jobs SET continues = ? WHERE id = ?", before.id, job.id)
    diary.job("test", due(0, 4), State.CANCELLED, reason="cancelled by alice")
    done = site.glmd("night", last_night().isoformat(), PYTHONIOENCODING="utf-8")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("✔")]
    assert line.split() == [
        *("✔", job.label, "02:00", "02:00", "4h", "1.65"),
        *("-0.06", "to", str(before.id), str(before.id), "moved", "14.0", "GB"),
    ]
    assert "cancelled by alice" in done.stdout
    assert "in all: steps ran 4h, 14.0 GB merged" in done.stdout
    told = json.loads(site.glmd("night", last_night().isoformat(), "--json").stdout)
    assert list(told) == ["night", "from", "to", "needs", "runs", "others", "totals"]
    assert told["totals"] == {"done": 1}
    assert [other["state"] for other in told["others"]] == ["cancelled"]


def test_names_and_reasons_cannot_drive_a_terminal(site: Site, diary: Diary) -> None:
    """Whoever dropped them."""
    job = diary.run("glm", due(0), *FAILED, reason="\x1b]0;owned\x07 \u202e", code="\x1b[31m")
    diary.sql("UPDATE jobs SET name = ?, cycle = ? WHERE id = ?", "a\x1b[2J", "c\x1b[2J", job.id)
    diary.note("c\x1b[2J", due(0, 3), Outcome.FAILED, "\x1b[31mred", "\x1b")
    for words in (("nights",), ("night", last_night().isoformat())):
        for form in ((), ("--json",)):
            done = site.glmd(*words, *form, PYTHONIOENCODING="utf-8")
            assert "\x1b" not in done.stdout
            assert "\u202e" not in done.stdout


def test_settings_that_cannot_be_read_are_said(site: Site, diary: Diary) -> None:
    """The night is told all the same."""
    diary.run("glm", due(0), *DONE, promoted=True)
    (site.root.path / "glmd.yaml").write_text("devices: [")
    done = site.glmd("night", last_night().isoformat())
    assert done.returncode == 0
    assert "trouble: the settings cannot be read, so a night is taken to be 18:00-08:00" in done.stdout
    assert row(site.glmd("nights").stdout, "glm")


def test_the_hours_of_a_night_are_a_setting(site: Site, diary: Diary) -> None:
    """Other jobs are told by them."""
    diary.job("early", due(1, 17), *DONE, took=timedelta(minutes=5))
    words = ("night", last_night().isoformat(), "--json")
    assert json.loads(site.glmd(*words).stdout)["others"] == []
    (site.root.path / "glmd.yaml").write_text('night: "16:00-08:00"')
    assert len(json.loads(site.glmd(*words).stdout)["others"]) == 1
    (site.root.path / "glmd.yaml").write_text('night: "16-8"')
    assert "write the evening and the morning" in site.glmd("night").stdout


def test_a_store_of_before_is_read(site: Site, diary: Diary) -> None:
    """As between an upgrade and the restart: the nights are told by the names of their runs."""
    diary.run("glm", due(0), *FAILED, outcome=None)
    for table in ("results", "nightly_runs", "promotions", "prunings", "retention", "notices"):
        diary.sql(f"DROP TABLE {table}")
    diary.sql("DROP INDEX jobs_by_cycle")
    of_jobs = (("jobs", column) for column in ("cycle", "continues", "nodes", "ranks"))
    for table, column in (*of_jobs, ("nightly", "timezone"), ("nightly", "since")):
        diary.sql(f"ALTER TABLE {table} DROP COLUMN {column}")
    diary.sql("PRAGMA user_version=5")
    assert site.glmd("night", last_night().isoformat()).returncode == 1
    assert row(site.glmd("nights").stdout, "glm")


@pytest.mark.root
def test_a_root_that_can_only_be_read(site: Site, diary: Diary, tmp_path: Path) -> None:
    """As on a snapshot, or from another host."""
    diary.run("glm", due(0), *DONE, promoted=True)
    seen = tmp_path / "seen"
    seen.mkdir()
    glmd = " ".join(site.command("night")).replace(str(site.root.path), str(seen))
    script = f"mount --bind {site.root.path} {seen} && mount -o remount,bind,ro {seen} && {glmd} && ! touch {seen}/x"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_help_says_what_the_exit_codes_mean(site: Site) -> None:
    """For whoever lets cron run it."""
    assert "0 nothing needs you, 1 something does" in " ".join(site.glmd("night", "--help").stdout.split())
