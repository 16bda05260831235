"""Ways to lay a training out as processes: one module a way, behind one Protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from handlers.records.job_dir import JobDir, rank_log_in
from handlers.records.train_plan import ProcessPlan, RankPlan, Role
from handlers.training.binding import UNBOUND, Binding, device
from handlers.training.ways import DeviceTarget


@dataclass(frozen=True)
class Meeting:
    """Where the ranks of a cluster meet: at its scheduler."""

    host: str
    port: int


@dataclass(frozen=True)
class Launch:
    """What all processes of one training share that are started on this host."""

    job_dir: JobDir
    devices: tuple[int, ...]
    """Physical ids; rank N runs on the N-th, or of several hosts' the rank `first` + N."""
    device_target: DeviceTarget
    rank_table: Path | None
    """What their RANK_TABLE_FILE is; None for none, but for one that `environment` names."""
    python: Path
    command: tuple[str, ...]
    """What each rank runs."""
    environment: Mapping[str, str] = field(repr=False)  # what it holds may be a secret
    binding: Binding = UNBOUND
    """On which CPUs."""
    first: int = 0
    """The number of the rank on the first device."""
    ranks_in_all: int | None = None
    """Of all hosts; None where there is this one alone."""
    own_output: Path | None = None
    """Where MindFormers writes; None for the job's output."""

    @property
    def output(self) -> Path:
        """Where MindFormers writes."""
        return self.own_output or self.job_dir.output

    @property
    def ranks(self) -> range:
        """The numbers of the ranks of this host: one trains on each device."""
        return range(self.first, self.first + len(self.devices))

    @property
    def size(self) -> int:
        """How many ranks there are in all."""
        return self.ranks_in_all or len(self.devices)

    def rank(self, rank: int, environment: Mapping[str, str]) -> ProcessPlan:
        """Return the process that is one rank, with its own additions to the environment."""
        number, log = self.devices[rank - self.first], rank_log_in(self.output, rank)
        who = device(number)
        table = {} if self.rank_table is None else {"RANK_TABLE_FILE": str(self.rank_table)}
        return ProcessPlan(
            role=Role.RANK,
            ranks=(RankPlan(number=rank, device=number, log=log),),
            argv=self.binding.command(who, self.command),
            environment={
                **self.environment,
                "RANK_ID": str(rank),
                "RANK_SIZE": str(self.size),
                "DEVICE_ID": str(number),
                **table,
                **self.binding.environment(who),
                **environment,
            },
            directory=self.directory(f"rank_{rank}"),
            log=log,
        )

    def directory(self, name: str) -> Path:
        """Return a process's own working directory: MindSpore drops kernel_meta/, rank_N/ and more where it runs."""
        return self.output / "work" / name


class Launcher(Protocol):
    """Lays a training out as processes; starts nothing, and writes nothing.

    Each of the launch's ranks is planned once, on its own device and with its own log: as a process that runs the
    launch's `command`, or with others below one process. Processes with ranks come last, the ranks in order: what they
    need to find each other (a scheduler) is started first.

    Every process has all of the launch's `environment`; what makes it this rank or scheduler wins over what stands
    there. A value of it, which may be a secret, goes nowhere else: commands, directories and logs are for the group.

    No two processes share a directory, and neither do two a log; all of it lies in the job's output. Only ports differ
    between two calls for the same launch.
    """

    def __call__(self, launch: Launch, /) -> tuple[ProcessPlan, ...]:
        """Return the processes in the order in which to start them. Raises OSError where the host has no port left."""
