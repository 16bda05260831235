"""Where Slurm is to run a job, and for how long, as options of sbatch."""

import math
from dataclasses import dataclass, field

from handlers.slurm.calling import Commands


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is as this site has it, where a file says nothing else, and where its Slurm is asked."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    exclude: str = ""
    time: float | None = None
    """Seconds; None for the partition's own limit."""
    memory: str = ""
    """Of a node, as --mem takes it."""
    gres: str = ""
    """Of a device: `npu`. Empty where Slurm counts none."""
    options: tuple[str, ...] = ()
    commands: Commands = field(default_factory=Commands)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What is asked of Slurm for one job."""

    nodes: int
    devices_per_node: int = 0
    gres: str = ""
    cpus: int | None = None
    """For each node's task; None for Slurm's default."""
    time: float | None = None
    memory: str = ""
    partition: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    exclude: str = ""
    extra: tuple[str, ...] = ()
    """The site's and the user's own options; they come last."""

    @property
    def options(self) -> tuple[str, ...]:
        """Return all of it, but `extra`, as sbatch takes it."""
        named = {
            "time": "" if self.time is None else str(math.ceil(self.time / 60)),
            "mem": self.memory,
            "cpus-per-task": "" if self.cpus is None else str(self.cpus),
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "reservation": self.reservation,
            "exclude": self.exclude,
            "gres": f"{self.gres}:{self.devices_per_node}" if self.gres and self.devices_per_node else "",
        }
        given = tuple(f"--{name}={value}" for name, value in named.items() if value)
        return (f"--nodes={self.nodes}", "--ntasks-per-node=1", *given)
