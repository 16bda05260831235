"""Promises of daemon.face.web.views.now that concern what waits, the daemon, and the night."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.daemon_record import DaemonRecord
from daemon.core.night_hours import NightHours
from daemon.core.states import State
from handlers.records.process import ProcessIdentity
from tests.unit.daemon.face.diary import DONE, FAILED, Diary
from tests.unit.daemon.face.web.nights_site import Client

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store."""
    return Diary(tmp_path / "root")


def waiting(diary: Diary, name: str, devices: str) -> None:
    """Let a job wait for these devices."""
    job = diary.job(name, NOW)
    diary.sql("UPDATE jobs SET devices = ? WHERE id = ?", devices, job.id)


def test_a_job_says_who_has_the_devices_that_it_waits_for(diary: Diary) -> None:
    """Each holder with its own; where they are free, who is before it."""
    first, second = (diary.job(name, NOW, State.MERGING) for name in ("a", "b"))
    diary.sql("INSERT INTO device_locks VALUES (0, ?), (1, ?), (2, ?)", first.id, first.id, second.id)
    waiting(diary, "c", "[0, 1, 2, 3]")
    waiting(diary, "d", "[6, 7]")
    waiting(diary, "e", "[5, 6]")
    text = Client(diary.root.path).get("/").text
    assert f"devices [0,2) are held by {first.id}, devices 2 are held by {second.id}" in text
    assert "behind 4" in text
    assert text.count("behind") == 1


def test_what_the_daemon_says_of_a_job_that_waits_comes_first(diary: Diary) -> None:
    """It has looked."""
    waiting(diary, "a", "[0]")
    diary.sql("UPDATE jobs SET reason = 'device 0 is in use by pid 9911'")
    diary.sql("INSERT INTO device_locks VALUES (0, 1)")
    text = Client(diary.root.path).get("/").text
    assert "in use by pid 9911" in text
    assert "are held by" not in text


def test_the_night_tells_what_became_of_jobs_that_are_no_runs(diary: Diary) -> None:
    """What is bad first: that there were some says nothing."""
    hours = NightHours.parse("18:00-08:00")
    evening, _ = hours.of(hours.newest(NOW))
    for name, ways in (("a", FAILED), ("b", DONE), ("c", DONE)):
        diary.job(name, evening + timedelta(hours=1), *ways)
    text = Client(diary.root.path).get("/").text
    assert "last night: <b>1 failed, 2 done</b>" in text


@pytest.mark.parametrize("is_there", (True, False))
def test_the_daemon_runs_or_it_does_not(diary: Diary, is_there: bool) -> None:  # noqa: FBT001 - a parameter
    """With its version and since when; a bar says so where it does not, and what to type: no service has this root."""
    began = NOW - timedelta(days=6)
    ended = None if is_there else NOW
    record = DaemonRecord("0.1.0", ProcessIdentity.of(os.getpid()), began, began, (0,), stopped=ended)
    diary.root.daemon.write_bytes(record.content())
    text = Client(diary.root.path).get("/").text
    assert ("glmd 0.1.0 runs, up 6d" in text) == is_there
    bar = f"does not run here: no job goes further. <code>glmd --root {diary.root.path} serve</code>"
    assert (bar in text) != is_there


def test_lines_of_a_reason_stay_lines(diary: Diary) -> None:
    """The style sheet shows them as they are."""
    diary.job("a", NOW, *FAILED, reason="first\nsecond")
    assert "first\nsecond" in Client(diary.root.path).get("/").text


def test_the_last_night_is_one_line(diary: Diary) -> None:
    """With what needs somebody, and leads there."""
    diary.run("glm-6b", NOW, *FAILED, reason="it failed")
    text = Client(diary.root.path).get("/").text
    assert "1 failed" in text
    assert "1 needs you" in text
    assert 'href="/night/' in text
