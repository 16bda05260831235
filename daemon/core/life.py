"""Whether a step's shim lives, by the records in its directory."""

from enum import StrEnum

from pydantic import ValidationError

from handlers.records.job_dir import StepDir
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord


class Life(StrEnum):
    """What the records of a step's directory say of its shim."""

    NONE = "none"
    """No shim was there yet."""
    RUNNING = "running"
    ENDED = "ended"
    """exit.json says how."""
    DIED = "died"
    """It is gone and has left no exit.json: killed from outside, or the host went down."""
    ENDING = "ending"
    """It is gone, and what it left behind is being ended."""
    VANISHED = "vanished"
    """It is gone, and so is the job's directory."""


def life(directory: StepDir) -> tuple[Life, ProcessIdentity | None]:
    """Return what has become of the shim of a step by its records, and who it is while it runs; raises OSError.

    Records may be lost or damaged while it lives: daemon.serve.jobs.runs asks the kernel first.
    """
    if directory.exit.exists():
        return Life.ENDED, None
    try:
        identity = ShimRecord.read(directory.shim).identity
    except FileNotFoundError:
        return Life.NONE, None
    except ValidationError:  # damaged
        return Life.DIED, None
    if identity.alive():
        return Life.RUNNING, identity
    # It may have written exit.json and ended between the first look and the second.
    return (Life.ENDED if directory.exit.exists() else Life.DIED), None


START_ALLOWANCE = 60.0
"""Seconds that a shim may take to write shim.json."""
