"""What the store is told of a new job: one of a drop or a tree, or one whose directory is there and its row is not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from daemon.core.names import job_name
from daemon.core.read_jobs import Transition
from daemon.core.states import Source
from daemon.core.users import User
from handlers.run_names import cycle_of, is_run, time_of


@dataclass(frozen=True)
class NewJob:
    """What a job is made of."""

    claim: str
    """Names this very piece of work, and no other: seen twice, it is one job."""
    name: str
    digest: str = ""
    priority: int = 0
    devices: tuple[int, ...] = ()
    prefix: str = ""
    owner: User | None = None
    """Whose the dropped file was; None where no file was dropped."""
    source: Source = Source.DROP
    nodes: int = 0
    """Of Slurm's; 0 for this host."""
    ranks: int = 0
    """On those nodes."""

    @property
    def cycle(self) -> str:
        """Of which nightly cycle it is a run; empty where of none."""
        return cycle_of(self.name) if self.source is Source.NIGHT else ""

    @property
    def due(self) -> datetime | None:
        """For which time of its cycle it is the run; None where it is none of a cycle."""
        return time_of(self.name) if self.source is Source.NIGHT else None

    @classmethod
    def of_drop(cls, claim: str, file_name: str, digest: str = "") -> Self:
        """Return the job that is made of a dropped file, as far as its name tells."""
        name = job_name(file_name)
        return cls(claim, name, digest, source=source_of_drop(name))


@dataclass(frozen=True)
class Forgotten:
    """A job that the store does not know, and had or would have this number."""

    number: int
    new: NewJob
    history: tuple[Transition, ...]
    """It ends in a state that holds no devices."""
    reason: str
    code: str = ""


def source_of_drop(name: str) -> Source:
    """Return who dropped the file that became a job of this name: nights drop theirs into the inbox like anybody."""
    return Source.NIGHT if is_run(name) else Source.DROP
