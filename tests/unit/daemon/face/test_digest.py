"""Promises of daemon.face.digest: what happened in one night, and what of it needs somebody."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.night_hours import DEFAULT, NightHours
from daemon.core.night_runs import Outcome
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.core.store import Store
from daemon.face.digest import Digest, digest, last_begun
from daemon.face.needs import Kind
from daemon.face.nights import Mark
from handlers.codes import Code
from tests.unit.daemon.face.diary import DONE, FAILED, TRAINING, Diary, utc

NOW = utc("2026-11-28 09:00")
NIGHT = date(2026, 11, 28)
LAST, DUE = utc("2026-11-27 02:00"), utc("2026-11-28 02:00")


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store."""
    return Diary(tmp_path / "root")


def told(diary: Diary, night: date = NIGHT, now: datetime = NOW) -> Digest:
    """Return what is told of a night."""
    with ReadStore.open(diary.root.store) as store:
        return digest(store, night, NightHours.parse(DEFAULT), now)


def needs(diary: Diary, night: date = NIGHT, now: datetime = NOW) -> list[tuple[Kind, int | None]]:
    """Return what needs somebody."""
    return [(need.kind, need.job) for need in told(diary, night, now).needs]


@pytest.mark.parametrize(
    ("now", "hours", "run", "night"),
    (
        ("2026-11-28 14:00", DEFAULT, "2026-11-28 13:00", 29),
        ("2026-11-28 14:00", DEFAULT, "2026-11-28 11:59", 28),
        ("2026-11-28 14:00", DEFAULT, None, 28),
        ("2026-11-28 18:00", DEFAULT, None, 29),
        ("2026-11-28 09:00", DEFAULT, "2026-11-28 08:30", 28),
        ("2026-11-28 22:00", "00:00-08:00", "2026-11-28 21:00", 29),
        ("2026-11-28 22:00", "00:00-08:00", None, 28),
    ),
)
def test_a_night_begins_at_its_hour_or_with_its_first_run(
    diary: Diary, now: str, hours: str, run: str | None, night: int
) -> None:
    """A run that is tried by hand in the afternoon is of the coming night, which is then told."""
    diary.run("glm", LAST, *DONE)
    if run is not None:
        diary.run("glm", utc(run), *TRAINING)
    with ReadStore.open(diary.root.store) as store:
        assert last_begun(store, NightHours.parse(hours), utc(now)) == date(2026, 11, night)


def test_what_holds_devices_is_told_of_a_night_that_a_run_has_begun(diary: Diary) -> None:
    """It is of today, and today is told by that night."""
    afternoon = utc("2026-11-28 14:00")
    stuck = diary.job("stuck", utc("2026-11-20 02:00"), *FAILED)
    diary.sql("INSERT INTO device_locks (device, job) VALUES (3, ?)", stuck.id)
    diary.run("glm", utc("2026-11-28 13:00"), *DONE)
    assert needs(diary, date(2026, 11, 29), afternoon) == [(Kind.OPERATOR, stuck.id)]
    assert needs(diary, NIGHT, afternoon) == []


def test_a_run_is_told_with_what_it_came_to(diary: Diary) -> None:
    """Held against the run before of its cycle that has a loss."""
    before = diary.run("glm", LAST, *DONE, promoted=True, loss=1.71)
    diary.run("other", LAST, *DONE, loss=9.0)
    job = diary.run("glm", DUE, *DONE, promoted=True, loss=1.65)
    diary.sql("UPDATE jobs SET continues = ? WHERE id = ?", before.id, job.id)
    (run,) = told(diary).runs
    assert run.change == pytest.approx(-0.06)
    assert run.as_json() | {"loss_change": 0} == {
        "cycle": "glm", "label": job.label, "due": "2026-11-28T02:00:00+00:00", "night": "2026-11-28", "mark": "done",
        "outcome": "dropped", "job": job.id, "state": "done", "reason": "", "code": "", "promoted": True,
        "continues": before.id, "final_loss": 1.65, "best_loss": 0.825, "seconds": 14400.0, "bytes": 13 << 30,
        "shards": None,
        "started": "2026-11-28T02:00:00+00:00", "loss_change": 0, "compared_to": before.id,
    }  # fmt: skip


def test_a_run_that_goes_on_is_told_since_it_began(diary: Diary) -> None:
    """Also over the morning: it belongs to its night."""
    diary.run("glm", DUE, *TRAINING)
    (run,) = told(diary, now=utc("2026-11-28 16:00")).runs
    assert (run.run.mark, run.seconds, run.change) == (Mark.RUNNING, 14 * 3600, None)
    assert needs(diary) == []


def test_what_failed_needs_you_until_it_is_made_up_for(diary: Diary) -> None:
    """By a retry that is done, or a later night; then it is told as what it was."""
    job = diary.run("glm", DUE, *FAILED, code="rank.EI0006", reason="rank 3 on device 3 failed first")
    assert needs(diary) == [(Kind.FAILED, job.id)]
    diary.run("glm", utc("2026-11-29 02:00"), *DONE, promoted=True)
    now = utc("2026-11-29 09:00")
    assert needs(diary, now=now) == []
    assert [run.run.mark for run in told(diary, now=now).runs] == [Mark.FAILED]


def test_a_retry_that_is_done_needs_nobody(diary: Diary) -> None:
    """And one that runs neither."""
    job = diary.run("glm", DUE, *FAILED)
    with Store.open(diary.root.store) as store:
        again = store.move(store.job(job.id), State.QUEUED, attempt=2)
    assert needs(diary) == []
    with Store.open(diary.root.store) as store:
        for state in DONE:
            again = store.move(again, state)
    assert needs(diary) == []


def test_a_night_without_a_job_is_told(diary: Diary) -> None:
    """Skipped, or not dropped, with the reason."""
    diary.note("glm", DUE, Outcome.SKIPPED, "the run before is not over", Code.NIGHT_SKIPPED)
    diary.note("other", DUE, Outcome.FAILED, "template is not there", Code.NIGHT_TEMPLATE)
    found = told(diary)
    assert [(need.kind, need.what, need.reason) for need in found.needs] == [
        (Kind.SKIPPED, "glm", "the run before is not over"),
        (Kind.NOT_DROPPED, "other", "template is not there"),
    ]
    assert found.totals() == {Mark.FAILED: 1, Mark.SKIPPED: 1}


def test_what_was_kept_back_needs_you(diary: Diary) -> None:
    """With what the gate said."""
    diary.run("glm", LAST, *DONE, promoted=True)
    kept = diary.run("glm", DUE, *DONE, reason="loss 2.31 is 9 % above 2.12 of job 1", code="gate.loss")
    assert needs(diary) == [(Kind.NOT_PROMOTED, kept.id)]


@pytest.mark.parametrize(
    ("began", "took", "belongs"),
    (
        ("2026-11-27 10:00", 7, False),
        ("2026-11-27 17:00", 2, True),
        ("2026-11-27 18:00", 1, True),
        ("2026-11-28 07:59", 9, True),
        ("2026-11-28 08:01", 1, False),
        ("2026-11-26 10:00", 60, True),
    ),
)
def test_other_jobs_that_were_at_work_are_told(diary: Diary, began: str, took: int, belongs: bool) -> None:  # noqa: FBT001 - a case
    """Those of the night's hours, wherever they began or ended; what failed of them needs you as well."""
    job = diary.job("test", utc(began), *FAILED, took=timedelta(hours=took))
    assert [other.job for other in told(diary).others] == [job] * belongs
    assert needs(diary) == [(Kind.FAILED, job.id)] * belongs


@pytest.mark.parametrize("ways", (FAILED, (State.REJECTED,)))
def test_a_file_that_was_dropped_again_needs_nobody(diary: Diary, ways: tuple[State, ...]) -> None:
    """As long as the newer job needs nobody."""
    job = diary.job("test", utc("2026-11-27 20:00"), *ways)
    assert [number for _, number in needs(diary)] == [job.id]
    diary.job("another", utc("2026-11-28 08:30"), *DONE)
    assert [number for _, number in needs(diary)] == [job.id]
    diary.job("test", utc("2026-11-28 08:30"), *DONE)
    assert needs(diary) == []
    diary.job("test", utc("2026-11-28 08:40"), *ways)
    assert [number for _, number in needs(diary)] == [job.id]


def test_what_cannot_be_ended_needs_an_operator(diary: Diary) -> None:
    """Of this night or of one before; in the digest of an older night it is told where it is that night's."""
    job = diary.run("glm", utc("2026-11-20 02:00"), *FAILED)
    diary.run("glm", DUE, *DONE, promoted=True)
    diary.sql("INSERT INTO device_locks (device, job) VALUES (3, ?)", job.id)
    assert needs(diary) == [(Kind.OPERATOR, job.id)]
    assert needs(diary, date(2026, 11, 27)) == []
    assert needs(diary, date(2026, 11, 20)) == [(Kind.OPERATOR, job.id)]


@pytest.mark.parametrize("ways", (TRAINING, (*TRAINING, State.MERGING, State.EVALUATING)))
def test_who_trains_or_is_evaluated_holds_devices_rightly(diary: Diary, ways: tuple[State, ...]) -> None:
    """That is no need."""
    job = diary.job("test", utc("2026-11-27 20:00"), *ways)
    diary.sql("INSERT OR IGNORE INTO device_locks (device, job) VALUES (0, ?)", job.id)
    assert needs(diary) == []


def test_a_night_of_before_everything(diary: Diary) -> None:
    """Nothing is told of it, and nothing needs anybody."""
    diary.run("glm", DUE, *FAILED)
    found = told(diary, date(2020, 1, 1))
    assert (found.needs, found.runs, found.others, found.totals()) == ((), (), (), {})


@pytest.mark.parametrize("after", (timedelta(days=1), timedelta(days=200)))
def test_what_makes_up_for_an_old_night_may_be_long_after_it(diary: Diary, after: timedelta) -> None:
    """An old night needs nobody once its cycle went well again; that another cycle did changes nothing."""
    due = utc("2025-11-28 02:00")
    diary.run("glm", due, *FAILED)
    failed = diary.run("other", due, *FAILED)
    diary.run("glm", due + after, *DONE, promoted=True)
    assert needs(diary, date(2025, 11, 28)) == [(Kind.FAILED, failed.id)]
