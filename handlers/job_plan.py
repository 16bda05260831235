"""plan.json: all that a job's steps need to know, decided and written before anything starts."""

from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from handlers.merge_plan import MergePlan
from handlers.record import Count, Device, Rank, Record, Seconds


class Role(StrEnum):
    """What a process is to the job."""

    RANK = "rank"
    SCHEDULER = "scheduler"
    """MindSpore's cluster scheduler, needed where there is no rank table to meet by (CPU)."""


class ProcessPlan(Record):
    """One process that the shim starts. `rank` and `device` are None for a scheduler."""

    role: Role
    rank: Rank | None
    device: Device | None
    argv: tuple[str, ...]
    environment: dict[str, str]
    """The whole environment, not additions to the shim's."""
    directory: Path
    log: Path


class TimeLimits(Record):
    """When a training is taken for hung, in seconds; None is no limit."""

    silence: Seconds | None = 1800.0
    """Between two steps."""
    first_step: Seconds | None = 3600.0
    """Before the first one: compiling, and loading where `load` does not say otherwise."""
    total: Seconds | None = None
    load: Seconds | None = None
    """Until the training proper begins; None: as `first_step`. Learned, see handlers.learned_limits."""
    saving: Seconds | None = None
    """While shards are written; None: as `silence`. Learned, too."""
    learned_from: Count = 0
    """How many earlier trainings the limits were learned from."""


class TrainPlan(Record):
    """The training step. `processes` are started in order; schedulers first."""

    processes: tuple[ProcessPlan, ...]
    limits: TimeLimits
    grace: Seconds = 20.0
    """Seconds between TERM and KILL."""
    configuration: str = ""
    """What it has in common with trainings whose time limits are learned together; see handlers.learned_limits."""


class JobPlan(Record):
    """A whole job. `train` is None where shards of a foreign run are merged."""

    MOST_BYTES: ClassVar[int] = 64 << 20
    """It holds the whole environment of each of up to 64 ranks."""

    job: Count
    name: str
    devices: tuple[Device, ...] = ()
    rank_table: Path | None = None
    train: TrainPlan | None = None
    merge: MergePlan
