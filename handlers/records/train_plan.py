"""The training step's part of plan.json, and what its shim reads without delay.

Plain dataclasses, apart from `handlers.records.job_plan`: pydantic reads them as its own, but importing pydantic takes
longer than all else that a shim does until the ranks run.
"""

import json
import math
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import publish_bytes
from handlers.units.devices import LIMIT
from handlers.units.durations import LONGEST

MOST_PLAN_BYTES = 64 << 20
"""Of plan.json: an older glmd wrote the whole environment of each of up to 64 ranks there."""
MOST_RANKS = 1 << 16
MOST_TRAININGS = 1 << 31
MOST_LINES = 1 << 31
"""Of a log."""


class Role(StrEnum):
    """What a process is to the job."""

    RANK = "rank"
    SCHEDULER = "scheduler"
    """MindSpore's cluster scheduler, at which the ranks meet where they do not by a rank table."""
    NODES = "nodes"
    """What starts the shims of all nodes, below which the ranks are."""
    EVALUATION = "evaluation"
    """What measures the merged checkpoint."""


@dataclass(frozen=True, kw_only=True)
class RankPlan:
    """One rank: what trains."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 - of its class, as pydantic wants it

    number: int
    device: int | None
    """Of the host that it is on; None where it has none of its own."""
    log: Path
    """All that it prints."""

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that no rank can have."""
        for name, number, most in (("rank", self.number, MOST_RANKS), ("device", self.device, LIMIT)):
            if number is not None and not 0 <= number < most:
                raise ValueError(f"{name} {number} is none")


@dataclass(frozen=True, kw_only=True)
class ProcessPlan:
    """One process that the shim starts."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 - as above

    role: Role
    ranks: tuple[RankPlan, ...]
    """Those that it is, or that train below it: one, several, or with a scheduler none."""
    argv: tuple[str, ...]
    environment: dict[str, str] | None = field(default=None, repr=False)
    """The whole environment, not additions to the shim's. None in plan.json, but for one that an older glmd wrote."""
    directory: Path
    log: Path
    """All that it prints: that of the rank that it is, too."""

    @property
    def rank(self) -> RankPlan | None:
        """The one rank that it is; None where it is none, or holds several."""
        return self.ranks[0] if len(self.ranks) == 1 else None


@dataclass(frozen=True, kw_only=True)
class TimeLimits:
    """When a training is taken for hung, in seconds; None is no limit."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 - as above

    silence: float | None = 1800.0
    """Between two steps."""
    first_step: float | None = 3600.0
    """Before the first one: compiling, and loading where `load` does not say otherwise."""
    total: float | None = None
    load: float | None = None
    """Until the training proper begins; None: as `first_step`. Learned, see handlers.training.learned_limits."""
    saving: float | None = None
    """While shards are written; None: as `silence`. Learned, too."""
    learned_from: int = 0
    """How many earlier trainings the limits were learned from."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no time to wait."""
        for limit in (self.silence, self.first_step, self.total, self.load, self.saving):
            if limit is not None:
                check_seconds(limit)
        if not 0 <= self.learned_from < MOST_TRAININGS:
            raise ValueError(f"learned from {self.learned_from} trainings")

    @classmethod
    def in_plan(cls, content: bytes) -> Self:
        """Return those in a plan.json, of which nothing else is looked at. Raises ValueError where it has none."""
        try:
            limits = json.loads(content)["train"]["limits"]
            return cls(**{one.name: limits[one.name] for one in fields(cls) if one.name in limits})
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError("a plan without time limits") from error


@dataclass(frozen=True, kw_only=True)
class StopOn:
    """When a training has diverged and is ended: `stop_on` of the settings and the section, with their defaults."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 - as above

    not_finite: int | None = 20
    """So many printed lines on end that are lost (handlers.rank_log.divergence); None is off."""
    rise: float | None = None
    """The same with a loss above so many times the run's median; None is off."""

    def __post_init__(self) -> None:
        """Raise ValueError for what can never be reached, or always is."""
        if self.not_finite is not None and not 0 < self.not_finite < MOST_LINES:
            raise ValueError(f"{self.not_finite} printed lines")
        if self.rise is not None and not (math.isfinite(self.rise) and self.rise > 1):
            raise ValueError(f"a loss above {self.rise} times the median")


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """The training step. `processes` are started in order; schedulers first."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 - as above

    processes: tuple[ProcessPlan, ...]
    limits: TimeLimits
    grace: float = 20.0
    """Seconds between TERM and KILL."""
    configuration: str = ""
    """What it has in common with trainings whose time limits are learned together; see training.learned_limits."""
    stop_on: StopOn = StopOn()
    """An older glmd says nothing of it: then the defaults hold."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no time to wait."""
        check_seconds(self.grace)

    @property
    def ranks(self) -> tuple[RankPlan, ...]:
        """All that train, whichever process they are in."""
        return tuple(rank for process in self.processes for rank in process.ranks)

    @property
    def environments(self) -> "Environments":
        """What is kept apart from the plan."""
        return Environments(processes=tuple(process.environment or {} for process in self.processes))

    def with_environments(self, path: Path) -> Self:
        """Return this plan, as it was read, with the environments in the file `path`.

        A plan that an older glmd wrote has its own. Raises OSError, ValueError where the file is another plan's, and
        DamagedFileError where it is no file for it.
        """
        if all(process.environment is not None for process in self.processes):
            return self
        environments = Environments.read(path).processes
        pairs = zip(self.processes, environments, strict=True)
        return replace(self, processes=tuple(replace(process, environment=given) for process, given in pairs))

    def with_variable(self, name: str, value: str) -> Self:
        """Return this plan with one more variable in the environment of each process."""
        more = tuple(replace(one, environment={**(one.environment or {}), name: value}) for one in self.processes)
        return replace(self, processes=more)


@dataclass(frozen=True, kw_only=True)
class Environments:
    """environment.json: the environments of a training's processes, in the order of its plan."""

    processes: tuple[dict[str, str], ...] = field(repr=False)  # what it holds may be a secret

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read environment.json; raises OSError, DamagedFileError where it is too large, and ValueError for no such."""
        found = json.loads(read_bounded(path, MOST_PLAN_BYTES))
        processes = found["processes"] if isinstance(found, dict) and found.keys() == {"processes"} else None
        if not isinstance(processes, list) or not all(isinstance(process, dict) for process in processes):
            raise ValueError("no environments")
        if not all(isinstance(value, str) for process in processes for value in process.values()):
            raise ValueError("an environment holds what is no text")
        return cls(processes=tuple(processes))

    def publish(self, path: Path) -> None:
        """Write this record to `path` durably, for this user alone."""
        content = json.dumps({"processes": self.processes}, indent=2, ensure_ascii=False) + "\n"
        publish_bytes(path, content.encode(), mode=0o600)


def check_seconds(seconds: float) -> None:
    """Raise ValueError for what is no time to wait."""
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise ValueError(f"{seconds} s is no time to wait")
