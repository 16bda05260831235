"""shim.json and exit.json: who runs a step, and how it ended."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from handlers.job_dir import Step
from handlers.job_plan import Record, Role


class Outcome(StrEnum):
    """How a step ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """It was told to end, by TERM."""
    TIMED_OUT = "timed_out"
    """It was ended for going past one of its time limits."""


class ProcessExit(Record):
    """How one process of a training ended."""

    role: Role
    rank: int | None
    device: int | None
    pid: int
    exit_code: int | None
    """None when a signal ended it."""
    signal: str | None
    """As `SIGKILL`; None when it exited by itself."""
    ended: datetime
    line: str
    """Its last meaningful log line; empty when it wrote none."""


class StepExit(Record):
    """exit.json."""

    step: Step
    outcome: Outcome
    reason: str
    """One line for people: `rank 3 on device 3 exited 1 first (09:14:07): ValueError: …`; of a merge, what was kept."""
    first: ProcessExit | None = None
    """The process that failed first, if one did."""
    processes: tuple[ProcessExit, ...] = ()
    started: datetime
    ended: datetime

    @classmethod
    def read(cls, path: Path) -> "StepExit":
        """Read exit.json; raises OSError or pydantic.ValidationError."""
        return cls.model_validate_json(path.read_bytes())
