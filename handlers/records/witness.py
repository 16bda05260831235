"""What is known of one process of a training that failed: its end, if it has one, and what its log shows."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from handlers.records.record import Device, Pid, Rank, Record
from handlers.records.step_exit import ProcessExit
from handlers.records.train_plan import Role


class Witness(Record):
    """A rank, or a process without any. Told where its log was written, so that nobody else has to read that."""

    role: Role
    rank: Rank | None
    device: Device | None
    node: str | None = None
    """Of Slurm's that it runs on; None on this host."""
    pid: Pid
    log: Path
    exit: ProcessExit | None
    """None while its process runs."""
    error: str | None
    """The name of the known error that its log shows; see handlers.rank_log.known_errors."""
    said: str
    """When it was said, as `2026-11-24 09:14:07.100`; empty where there is none, or the log does not tell."""
    line: str
    """What it did last, or that it logged nothing."""
    oom_kills: Annotated[int, Field(ge=0, lt=1 << 62)] | None = None
    """How many processes the kernel of its host has killed for memory since the training began, where that is known."""
    words: str
    """The line of its log that says best why it failed, or that it logged nothing."""
