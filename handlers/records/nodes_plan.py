"""The training step's part of plan.json where ranks run on nodes that Slurm chooses: there they become processes."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from handlers.records.job_dir import rank_log_in
from handlers.records.train_plan import Environments, RankPlan, StopOn, TimeLimits, check_seconds
from handlers.units.devices import LIMIT

MOST_NODES = 1 << 12
LONGEST_BEAT = 5.0
"""Seconds between two heartbeats, at most."""

Launcher = Literal["rank_table", "cluster"]
"""How ranks find each other: handlers.training.ways has it."""
DevicesFrom = Literal["environment", "slurm", "all"]


@dataclass(frozen=True, kw_only=True)
class NodesPlan:
    """The training step, on several nodes."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 - of its class, as pydantic wants it

    nodes: int
    devices_per_node: int
    devices_from: DevicesFrom = "environment"
    """How a node knows its devices: by ASCEND_RT_VISIBLE_DEVICES, by what Slurm says that the job has of it, or it has
    the first `devices_per_node`."""
    gres: str = ""
    """What Slurm counts devices as."""
    launcher: Launcher
    has_table: bool
    """Whether the ranks get RANK_TABLE_FILE."""
    address: str = "auto"
    """What a node is known by: `auto` is that of the default route, `slurm` Slurm's NodeAddr, else an interface's."""
    hccn_tool: str = "hccn_tool"
    hccn_conf: Path = Path("/etc/hccn.conf")
    topology: str = "any"
    """What the devices of a node have to be together; see handlers.rank_table.topology."""
    device_target: Literal["Ascend", "CPU"]
    python: Path
    """The interpreter that has MindSpore, on each node."""
    checkout: Path
    """The directory of MindFormers, on each node."""
    command: tuple[str, ...]
    """What each rank runs."""
    environment: dict[str, str] | None = field(default=None, repr=False)
    """What each process gets beside its node's own environment. None in plan.json: it is kept apart."""
    output: Path
    """MindFormers' own tree, of this attempt alone: a rank on a node that is given up may write there still."""
    limits: TimeLimits
    grace: float = 20.0
    """Seconds between TERM and KILL."""
    configuration: str = ""
    stop_on: StopOn = field(default_factory=StopOn)
    gather: float = 120.0
    """Seconds within which all nodes have to say which devices they have."""
    node_silence: float = 60.0
    """Seconds without a sign of life after which a node is given up."""
    lease: float = 120.0
    """Seconds without a sign of the job's shim after which a node ends its ranks."""
    preflight: bool = True
    """Whether each node looks at its devices, ports and paths before it takes part."""

    def __post_init__(self) -> None:
        """Raise ValueError for what no training can have."""
        for name, number, most in (("nodes", self.nodes, MOST_NODES), ("devices", self.devices_per_node, LIMIT)):
            if not 0 < number <= most:
                raise ValueError(f"{number} {name}")
        for seconds in (self.grace, self.gather, self.node_silence, self.lease):
            check_seconds(seconds)

    @property
    def size(self) -> int:
        """How many ranks there are in all: one trains on each device."""
        return self.nodes * self.devices_per_node

    @property
    def beat(self) -> float:
        """Seconds between two heartbeats: several are missed before somebody counts as gone."""
        return min(LONGEST_BEAT, self.node_silence / 4, self.lease / 4)

    @property
    def ranks(self) -> tuple[RankPlan, ...]:
        """All that train; which device each has is known when all nodes have said theirs."""
        return tuple(
            RankPlan(number=rank, device=None, log=rank_log_in(self.output, rank)) for rank in range(self.size)
        )  # fmt: skip

    @property
    def environments(self) -> Environments:
        """What is kept apart from the plan."""
        return Environments(processes=(self.environment or {},))

    def with_environments(self, path: Path) -> Self:
        """Return this plan, as it was read, with the environment in the file `path`. Raises as TrainPlan's does."""
        (environment,) = Environments.read(path).processes
        return replace(self, environment=environment)
