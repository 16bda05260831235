"""How a step of a job ended, by its records."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from handlers.codes import Code
from handlers.records.job_dir import Step, StepDir
from handlers.records.process import boot_id
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit, Survivor
from handlers.resume.decision import Ending, Failure
from handlers.shim.survivors import operator_needed


@dataclass(frozen=True)
class Finished:
    """A step came to its end, or was ended because somebody asked glmd for it: nothing is to be decided."""

    is_cancelled: bool
    reason: str
    """It may be empty."""


def ended(directory: StepDir, step: Step, *, cancel: bool) -> Finished | Failure:
    """Return what exit.json says of a step; `cancel` when glmd was asked to end it. Raises OSError."""
    try:
        record = StepExit.read(directory.exit)
    except ValidationError as error:
        return Failure(Ending.FAILED, f"{directory.exit} cannot be read: {error}", code=Code.SHIM_NO_EXIT)
    if record.outcome is Outcome.COMPLETED:
        return Finished(is_cancelled=False, reason=record.reason)
    if record.outcome is Outcome.CANCELLED and cancel:
        return Finished(is_cancelled=True, reason=record.reason)
    lost, reason = host_went_down(directory), record.reason
    if record.outcome is Outcome.CANCELLED:
        reason = f"{step} was {reason}, {'when the host went down' if lost else 'and not by glmd cancel'}"
    return Failure.of(record, reason, lost=lost)


def died(step: Step, cause: str | None, *, lost: bool, left: Sequence[int] = ()) -> Failure:
    """Return how a step ended whose shim left no exit.json; `cause` is the service manager's word.

    `left` are the pids of what outlived it for a while.
    """
    if lost:
        return Failure(Ending.LOST, f"the host went down during {step}", code=Code.HOST_WENT_DOWN)
    fate = "so did its processes"
    if left:
        fate = f"so did its processes, except pid {', '.join(map(str, left))}, which glmd asked to end"
    reason = f"the shim of {step} ended without a record ({cause or 'killed'}), and {fate}"
    return Failure(Ending.FAILED, reason, code=Code.SHIM_DIED)


def stuck(end: Finished | Failure, left: Sequence[Survivor]) -> Finished | Failure:
    """Return `end` with what is left that cannot be ended: whatever else follows, nothing is begun on those devices."""
    if not left:
        return end
    reason = "; ".join(part for part in (operator_needed(left), end.reason) if part)
    if isinstance(end, Failure):
        return replace(end, reason=reason, ending=Ending.STUCK, code=Code.SHIM_SURVIVORS)
    return replace(end, reason=reason)


def host_went_down(directory: StepDir) -> bool:
    """Say whether a step was begun before the host last booted. Raises OSError."""
    try:
        return ShimRecord.read(directory.shim).boot_id != boot_id()
    except (FileNotFoundError, ValidationError):
        return False
