"""Promises of daemon.face.notify.facts: what is known is told; what cannot be read keeps nothing from being told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.event_kinds import EventKind
from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from daemon.face.notify.event import Event
from daemon.face.notify.texts.facts import Facts, facts_of
from handlers.records.job_dir import Step
from handlers.records.step_exit import Diagnosis, Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from tests.unit.daemon.face.diary import DONE, FAILED, Diary, utc

NOW = datetime(2026, 11, 29, 2, 40, tzinfo=UTC)
DUE = utc("2026-11-28 02:00")
LINE = "RuntimeError: EI0006: wait socket establish timeout"


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store."""
    return Diary(tmp_path / "root")


def event(job: Job, kind: EventKind = EventKind.JOB_FAILED, attempt: int = 1) -> Event:
    """Return what happened to `job`."""
    return Event(kind, f"transition:{job.id}", NOW, "it failed", "rank.EI0006", job.id, attempt, job.name)


def known(diary: Diary, *events: Event) -> dict[str, Facts]:
    """Return what is known."""
    with ReadStore.open(diary.root.store) as store:
        return facts_of(events, store, diary.root.path)


def record(diary: Diary, job: Job, step: Step, outcome: Outcome, *, rank: int | None = 3, attempt: int = 1) -> Path:
    """Let a step have ended so; return its record."""
    path = job.directory(diary.root.path).step(attempt, step).exit
    path.parent.mkdir(parents=True)
    first = ProcessExit(
        role=Role.RANK, rank=rank, device=5, pid=9, exit_code=1, signal=None, ended=NOW, line=LINE
    )  # fmt: skip
    diagnosis = Diagnosis(error="EI0006", rank=rank, cause="a cause", remedy="a remedy", may_pass=True)
    is_known = outcome is not Outcome.COMPLETED and rank is not None
    StepExit(
        step=step,
        outcome=outcome,
        reason="it failed",
        first=first if is_known else None,
        diagnosis=diagnosis if is_known else None,
        started=NOW,
        ended=NOW,
    ).publish(path)
    return path


def test_a_failure_is_told_with_its_rank(diary: Diary) -> None:
    """As the attempt's record has it, that failed."""
    job = diary.job("lora", DUE, *FAILED)
    record(diary, job, Step.TRAIN, Outcome.FAILED)
    record(diary, job, Step.TRAIN, Outcome.FAILED, rank=7, attempt=2)
    facts = known(diary, event(job))[f"transition:{job.id}"]
    assert facts.job == job
    assert facts.unread == ""
    told = facts.diagnosis
    assert told is not None
    assert (told.rank, told.device, told.line, told.error, told.code) == (3, 5, LINE, "EI0006", "rank.EI0006")
    assert (told.cause, told.remedy) == ("a cause", "a remedy")


def test_the_step_that_failed_is_told(diary: Diary) -> None:
    """Not the training before it, which came to its end."""
    job = diary.job("lora", DUE, *FAILED)
    record(diary, job, Step.TRAIN, Outcome.COMPLETED)
    record(diary, job, Step.MERGE, Outcome.FAILED, rank=None)
    assert known(diary, event(job))[f"transition:{job.id}"].diagnosis is None


def test_a_name_of_another_version_has_no_code(diary: Diary) -> None:
    """A newer glmd may know more errors."""
    job = diary.job("lora", DUE, *FAILED)
    path = record(diary, job, Step.TRAIN, Outcome.FAILED)
    path.write_text(path.read_text().replace("EI0006", "EX0001"))
    told = known(diary, event(job))[f"transition:{job.id}"].diagnosis
    assert told is not None
    assert (told.error, told.code) == ("EX0001", "")


@pytest.mark.parametrize("content", ("", "{", '{"step": "train"}', "\udc80", "x" * (2 << 20)))
def test_a_damaged_record_is_left_out(diary: Diary, content: str) -> None:
    """It is said that it could not be read."""
    job = diary.job("lora", DUE, *FAILED)
    path = record(diary, job, Step.TRAIN, Outcome.FAILED)
    path.write_text(content, errors="surrogateescape")
    facts = known(diary, event(job))[f"transition:{job.id}"]
    assert (facts.job, facts.diagnosis) == (job, None)
    assert str(path.parents[3]) in facts.unread
    assert "\n" not in facts.unread


def test_a_record_that_is_a_directory_is_left_out(diary: Diary) -> None:
    """As is whatever the file system says against it."""
    job = diary.job("lora", DUE, *FAILED)
    path = record(diary, job, Step.TRAIN, Outcome.FAILED)
    path.unlink()
    path.mkdir()
    facts = known(diary, event(job))[f"transition:{job.id}"]
    assert facts.diagnosis is None
    assert facts.unread


def test_a_missing_record_is_no_trouble(diary: Diary) -> None:
    """Some jobs fail before anything is started."""
    job = diary.job("lora", DUE, State.PREPARING, State.FAILED)
    assert known(diary, event(job)) == {f"transition:{job.id}": Facts(job)}


def test_what_is_done_is_told_with_result_change_and_path(diary: Diary) -> None:
    """Held against the newest run before of its cycle that has a loss."""
    before = diary.run("glm", utc("2026-11-26 02:00"), *DONE, loss=1.71)
    diary.run("glm", utc("2026-11-27 02:00"), *FAILED)
    diary.run("other", utc("2026-11-27 02:00"), *DONE, loss=9.0)
    job = diary.run("glm", DUE, *DONE, loss=1.65)
    merged = job.directory(diary.root.path).merged
    merged.mkdir(parents=True)
    facts = known(diary, event(job, EventKind.JOB_DONE))[f"transition:{job.id}"]
    assert facts.result is not None
    assert (facts.result.final_loss, facts.result.seconds, facts.output) == (1.65, 14400.0, merged)
    assert facts.compared_to == before.id
    assert facts.change == pytest.approx(-0.06)


def test_jobs_of_no_cycle_have_no_run_before(diary: Diary) -> None:
    """Though others of no cycle were done before; and an output that is gone is not told."""
    diary.job("lora", utc("2026-11-27 02:00"), *DONE, loss=1.0)
    job = diary.job("lora", DUE, *DONE, loss=2.0)
    facts = known(diary, event(job, EventKind.JOB_DONE))[f"transition:{job.id}"]
    assert (facts.change, facts.compared_to, facts.output) == (None, None, None)


def test_a_job_that_the_store_does_not_know_has_no_facts(diary: Diary) -> None:
    """Its row is gone, or says nothing; nor has what is about no job."""
    job = diary.job("lora", DUE, *FAILED)
    diary.sql("UPDATE jobs SET devices = 'none' WHERE id = ?", job.id)
    assert known(diary, event(job), Event(EventKind.DISK_LOW, "notice:1", NOW)) == {}


def test_the_store_is_asked_once_for_all(diary: Diary) -> None:
    """However many there are: also more than SQLite takes variables."""
    jobs = [diary.run("glm", utc(f"2026-11-{day} 02:00"), *DONE, loss=day) for day in range(10, 20)]
    others = [Event(EventKind.JOB_DONE, f"gone:{number}", NOW, job=number) for number in range(1000, 300_000)]
    asked: list[str] = []
    with ReadStore.open(diary.root.store) as store:
        store._connection.set_trace_callback(asked.append)
        found = facts_of([*(event(job, EventKind.JOB_DONE) for job in jobs), *others], store, diary.root.path)
    assert len(found) == len(jobs)
    assert len([statement for statement in asked if "SELECT" in statement]) == 3
