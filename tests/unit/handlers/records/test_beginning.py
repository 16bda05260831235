"""Promises of handlers.records.beginning: a job's training has begun once, however often it was resumed or retried."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.records.beginning import training_began
from handlers.records.job_dir import JobDir, Step
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit


def at(minute: int) -> datetime:
    """Return a time."""
    return datetime(2026, 11, 28, 10, minute, tzinfo=UTC)


def let_begin(job: JobDir, attempt: int, minute: int, step: Step = Step.TRAIN) -> None:
    """Let a shim have begun a step."""
    path = job.step(attempt, step).shim
    path.parent.mkdir(parents=True)
    ShimRecord.of_this_process(at(minute)).publish(path)


@pytest.fixture
def job(tmp_path: Path) -> JobDir:
    """Return a job's directory."""
    return JobDir(tmp_path)


def test_the_first_attempt_counts(job: JobDir) -> None:
    """A resume or a retry keeps it."""
    let_begin(job, 1, 5)
    let_begin(job, 2, 7)
    let_begin(job, 3, 9, Step.MERGE)
    assert training_began(job, 3) == at(5)


def test_an_attempt_that_never_began_does_not(job: JobDir) -> None:
    """It was cancelled in the queue, or in preparation."""
    let_begin(job, 2, 7)
    assert training_began(job, 2) == at(7)
    assert training_began(job, 1) is None


def test_the_record_of_the_end_does_as_well(job: JobDir) -> None:
    """Of a step whose shim left no other, or one that is damaged."""
    records = job.step(1, Step.TRAIN)
    records.path.mkdir(parents=True)
    records.shim.write_text("{")
    StepExit(step=Step.TRAIN, outcome=Outcome.FAILED, reason="", started=at(5), ended=at(6)).publish(records.exit)
    let_begin(job, 2, 7)
    assert training_began(job, 2) == at(5)


def test_a_job_without_records_has_no_beginning(job: JobDir) -> None:
    """Nothing is made up."""
    assert training_began(job, 3) is None
