"""Promises of daemon.face.spells: which job had which devices when."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from daemon.face.spells import Spell, spells, stretches, used
from tests.unit.daemon.face.diary import DONE, Diary, utc

SINCE, UNTIL = utc("2026-11-27 18:00"), utc("2026-11-28 08:00")
HOUR = timedelta(hours=1)


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store."""
    return Diary(tmp_path / "root")


def lived(diary: Diary, *steps: tuple[datetime, State], name: str = "run") -> Job:
    """Let a job have come to these states at these times."""
    job = diary.job(name, steps[0][0], *DONE)
    diary.sql("DELETE FROM transitions WHERE job = ?", job.id)
    for at, state in steps:
        diary.sql(
            "INSERT INTO transitions (job, at, state, attempt, reason) VALUES (?, ?, ?, 1, '')",
            *(job.id, at.isoformat(), state),
        )
    diary.sql("UPDATE jobs SET state = ?, changed = ? WHERE id = ?", steps[-1][1], steps[-1][0].isoformat(), job.id)
    return job


def had(diary: Diary) -> list[tuple[int, datetime, datetime]]:
    """Return who had devices."""
    with ReadStore.open(diary.root.store) as store:
        return [(spell.job.id, spell.began, spell.ended) for spell in spells(store, SINCE, UNTIL)]


def test_a_job_has_its_devices_from_its_preparation_to_its_merge(diary: Diary) -> None:
    """Neither while it waits, nor while it merges; and each retry has its own time."""
    at = SINCE + HOUR
    job = lived(
        diary,
        (at, State.QUEUED),
        (at + HOUR, State.PREPARING),
        (at + 2 * HOUR, State.TRAINING),
        (at + 3 * HOUR, State.TRAINING),
        (at + 4 * HOUR, State.FAILED),
        (at + 5 * HOUR, State.QUEUED),
        (at + 6 * HOUR, State.TRAINING),
        (at + 7 * HOUR, State.MERGING),
        (at + 8 * HOUR, State.DONE),
    )
    assert had(diary) == [(job.id, at + HOUR, at + 4 * HOUR), (job.id, at + 6 * HOUR, at + 7 * HOUR)]


def test_times_are_cut_to_what_was_asked_for(diary: Diary) -> None:
    """One that goes on lasts until the end; what is before or behind is none."""
    runs = lived(diary, (SINCE - HOUR, State.QUEUED), (SINCE - HOUR, State.TRAINING))
    lived(diary, (SINCE - 3 * HOUR, State.TRAINING), (SINCE - HOUR, State.DONE))
    lived(diary, (UNTIL + HOUR, State.TRAINING))
    lived(diary, (SINCE + HOUR, State.QUEUED), (UNTIL - HOUR, State.CANCELLED))
    assert had(diary) == [(runs.id, SINCE, UNTIL)]


def test_a_job_that_was_merged_since_had_its_devices_before(diary: Diary) -> None:
    """Its row was changed in that time, and its training ended at its beginning."""
    lived(diary, (SINCE - 2 * HOUR, State.TRAINING), (SINCE, State.MERGING), (SINCE + HOUR, State.DONE))
    assert had(diary) == []


def test_devices_are_used_as_much_as_they_were_held(diary: Diary) -> None:
    """A quarter of the time of one of two is an eighth; without devices or time nobody can say."""
    job = lived(diary, (SINCE, State.TRAINING))
    spell = Spell(job, SINCE, SINCE + (UNTIL - SINCE) / 4)
    assert used([spell], 2, SINCE, UNTIL) == pytest.approx(0.125)
    assert used([spell], 0, SINCE, UNTIL) is None
    assert used([], 8, SINCE, SINCE) is None


def test_a_life_has_no_gaps(diary: Diary) -> None:
    """Each state lasts until the next one, the last one until now."""
    job = lived(diary, (SINCE, State.QUEUED), (SINCE + HOUR, State.TRAINING))
    with ReadStore.open(diary.root.store) as store:
        found = list(stretches(store.history(job.id), UNTIL))
    assert [(each.step.state, each.step.at, each.until) for each in found] == [
        (State.QUEUED, SINCE, SINCE + HOUR),
        (State.TRAINING, SINCE + HOUR, UNTIL),
    ]
