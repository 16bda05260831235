"""plan.json: all that a job's steps need to know, decided and written before anything starts.

But for environments, which may hold secrets: plan.json can be read by the whole group, environment.json by glmd alone.
"""

from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field

from handlers.ckpt.durable import publish_bytes
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
    environment: dict[str, str] = Field(default={}, exclude=True)
    """The whole environment, not additions to the shim's. Never in plan.json, where an older glmd wrote it."""
    directory: Path
    log: Path


class Environments(Record):
    """environment.json: the environments of a training's processes, in the order of its plan."""

    MOST_BYTES: ClassVar[int] = 64 << 20
    """It holds the whole environment of each of up to 64 ranks."""

    processes: tuple[dict[str, str], ...]

    def publish(self, path: Path) -> None:
        """Write this record to `path` durably, for this user alone."""
        publish_bytes(path, (self.model_dump_json(indent=2) + "\n").encode(), mode=0o600)


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

    @property
    def environments(self) -> Environments:
        """What is kept apart from the plan."""
        return Environments(processes=tuple(process.environment for process in self.processes))

    def with_environments(self, path: Path) -> Self:
        """Return this plan, as it was read, with the environments in the file `path`.

        A plan that an older glmd wrote has its own. Raises OSError, pydantic.ValidationError, or ValueError where the
        file is another plan's.
        """
        if all("environment" in process.model_fields_set for process in self.processes):
            return self
        environments = Environments.read(path).processes
        pairs = zip(self.processes, environments, strict=True)
        filled = tuple(process.model_copy(update={"environment": given}) for process, given in pairs)
        return self.model_copy(update={"processes": filled})

    def with_variable(self, name: str, value: str) -> Self:
        """Return this plan with one more variable in the environment of each process."""
        more = tuple(one.model_copy(update={"environment": {**one.environment, name: value}}) for one in self.processes)
        return self.model_copy(update={"processes": more})


class JobPlan(Record):
    """A whole job. `train` is None where shards of a foreign run are merged."""

    MOST_BYTES: ClassVar[int] = Environments.MOST_BYTES
    """An older glmd's holds the environments, too."""

    job: Count
    name: str
    devices: tuple[Device, ...] = ()
    rank_table: Path | None = None
    train: TrainPlan | None = None
    merge: MergePlan
