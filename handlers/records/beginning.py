"""When the training of a job began."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from handlers.records.job_dir import JobDir, Step
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import StepExit


def training_began(job_dir: JobDir, attempts: int) -> datetime | None:
    """Return when the first of `attempts` attempts that came to train began to; None where no record tells.

    A resume or a retry so keeps its first beginning. Raises OSError.
    """
    steps = (job_dir.step(attempt, Step.TRAIN) for attempt in range(1, attempts + 1))
    return min((at for step in steps for at in _started(step.shim, step.exit)), default=None)


def _started(shim: Path, exit_: Path) -> Iterator[datetime]:
    with contextlib.suppress(FileNotFoundError, ValidationError):
        yield ShimRecord.read(shim).started
    with contextlib.suppress(FileNotFoundError, ValidationError):
        yield StepExit.read(exit_).started
