"""How a step of a job ended, by its records."""

from dataclasses import dataclass

from pydantic import ValidationError

from handlers.job_dir import Step, StepDir
from handlers.outcome import Outcome, StepExit
from handlers.process import boot_id
from handlers.resume import Ending, Failure
from handlers.shim_record import ShimRecord


@dataclass(frozen=True)
class Completed:
    """It came to its end; the reason may be empty."""

    reason: str


@dataclass(frozen=True)
class Cancelled:
    """It was ended because somebody asked glmd for it."""

    reason: str


def ended(directory: StepDir, step: Step, *, cancel: bool) -> Completed | Cancelled | Failure:
    """Return what exit.json says of a step; `cancel` when glmd was asked to end it. Raises OSError."""
    try:
        record = StepExit.read(directory.exit)
    except ValidationError as error:
        return Failure(Ending.FAILED, f"{directory.exit} cannot be read: {error}")
    if record.outcome is Outcome.COMPLETED:
        return Completed(record.reason)
    if record.outcome is Outcome.CANCELLED and cancel:
        return Cancelled(record.reason)
    lost, reason = host_went_down(directory), record.reason
    if record.outcome is Outcome.CANCELLED:
        reason = f"{step} was {reason}, {'when the host went down' if lost else 'and not by glmd cancel'}"
    return Failure.of(record, reason, lost=lost)


def died(step: Step, cause: str | None, *, lost: bool) -> Failure:
    """Return how a step ended whose shim left no exit.json; `cause` is the service manager's word."""
    if lost:
        return Failure(Ending.LOST, f"the host went down during {step}")
    return Failure(
        Ending.FAILED, f"the shim of {step} died without a word ({cause or 'killed'}), and what it ran with it"
    )


def host_went_down(directory: StepDir) -> bool:
    """Say whether a step was begun before the host last booted. Raises OSError."""
    try:
        return ShimRecord.read(directory.shim).boot_id != boot_id()
    except (FileNotFoundError, ValidationError):
        return False
