"""Why an attempt failed: which rank was first, its line, the cause, and what to do."""

from dataclasses import dataclass

from handlers.rank_log.error_kinds import code_of
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import Outcome, StepExit


@dataclass(frozen=True)
class Diagnosed:
    """Why an attempt failed, as its record tells."""

    rank: int | None
    """That failed first; None where the record names none."""
    device: int | None
    line: str
    """Its last meaningful one; empty where it wrote none."""
    error: str
    """The name of the known error, as `EI0006` or `device memory`; empty where it is none."""
    cause: str
    remedy: str
    node: str | None = None
    """Of Slurm's that the rank ran on; None on this host."""

    @property
    def code(self) -> str:
        """What programs know the error by; empty where this glmd does not know it."""
        try:
            return code_of(self.error)
        except ValueError:
            return ""


def failed_step(directory: JobDir, attempt: int) -> StepExit | None:
    """Return how the step ended that did not end well: the last one of the attempt that has a record.

    Raises OSError, and ValidationError where that is no record of glmd.
    """
    for step in reversed(Step):
        try:
            found = StepExit.read(directory.step(attempt, step).exit)
        except FileNotFoundError:
            continue
        return None if found.outcome is Outcome.COMPLETED else found
    return None


def diagnosed(directory: JobDir, attempt: int) -> Diagnosed | None:
    """Return what the record tells of the step that did not end well. Raises as `failed_step` does."""
    found = failed_step(directory, attempt)
    return None if found is None else diagnosis_of(found)


def diagnosis_of(found: StepExit) -> Diagnosed | None:
    """Return why a step failed; None where its record names nobody and no error."""
    first, diagnosis = found.first, found.diagnosis
    if first is None and diagnosis is None:
        return None
    return Diagnosed(
        rank=first.rank if first else diagnosis.rank if diagnosis else None,
        device=first.device if first else None,
        line=first.line if first else "",
        error=diagnosis.error if diagnosis else "",
        cause=diagnosis.cause if diagnosis else "",
        remedy=diagnosis.remedy if diagnosis else "",
        node=first.node if first else None,
    )
