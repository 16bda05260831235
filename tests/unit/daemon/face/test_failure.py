"""Why an attempt failed, as its records tell."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from daemon.face.failure import diagnosed, diagnosis_of, failed_step
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import Diagnosis, Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role

NOW = datetime(2026, 11, 28, tzinfo=UTC)
FIRST = ProcessExit(role=Role.RANK, rank=3, device=7, pid=9, exit_code=1, signal=None, ended=NOW, line="EI0006")
KNOWN = Diagnosis(error="EI0006", rank=2, cause="a peer", remedy="look", may_pass=True)


def ended(
    directory: JobDir,
    step: Step,
    outcome: Outcome = Outcome.FAILED,
    first: ProcessExit | None = None,
    known: Diagnosis | None = None,
) -> StepExit:
    """Let a step have ended."""
    record = StepExit(step=step, outcome=outcome, reason="why", first=first, diagnosis=known, started=NOW, ended=NOW)
    directory.step(2, step).path.mkdir(parents=True)
    record.publish(directory.step(2, step).exit)
    return record


def test_the_last_step_that_has_a_record_counts(tmp_path: Path) -> None:
    """A merge comes after a training; one that was completed has not failed; none at all has nothing to say."""
    directory = JobDir(tmp_path)
    assert failed_step(directory, 2) is None
    trained = ended(directory, Step.TRAIN)
    assert failed_step(directory, 2) == trained
    merged = ended(directory, Step.MERGE)
    assert failed_step(directory, 2) == merged
    assert failed_step(directory, 1) is None


def test_a_step_that_was_completed(tmp_path: Path) -> None:
    """Is no failure."""
    ended(JobDir(tmp_path), Step.TRAIN, Outcome.COMPLETED)
    assert failed_step(JobDir(tmp_path), 2) is None
    assert diagnosed(JobDir(tmp_path), 2) is None


def test_what_is_told(tmp_path: Path) -> None:
    """The process that failed first, and what its error means; either may be missing."""
    told = diagnosis_of(ended(JobDir(tmp_path / "both"), Step.TRAIN, first=FIRST, known=KNOWN))
    assert told is not None
    assert (told.rank, told.device, told.line, told.error, told.cause, told.code) == (
        3,
        7,
        "EI0006",
        "EI0006",
        "a peer",
        "rank.EI0006",
    )
    told = diagnosis_of(ended(JobDir(tmp_path / "known"), Step.TRAIN, known=KNOWN))
    assert told is not None
    assert (told.rank, told.device, told.line) == (2, None, "")
    told = diagnosis_of(ended(JobDir(tmp_path / "first"), Step.TRAIN, first=FIRST))
    assert told is not None
    assert (told.error, told.code) == ("", "")
    assert diagnosis_of(ended(JobDir(tmp_path / "none"), Step.TRAIN)) is None


def test_a_record_that_is_none(tmp_path: Path) -> None:
    """Is told apart from one that is not there."""
    path = JobDir(tmp_path).step(2, Step.TRAIN).exit
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff[")
    with pytest.raises(ValidationError):
        failed_step(JobDir(tmp_path), 2)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="exit"):
        failed_step(JobDir(tmp_path), 2)
