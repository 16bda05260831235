"""Records of a training on several nodes: who has which devices, who lives, who wants what, and how each node ended.

Each file has one writer. Each that somebody polls is there before anybody does, with `seq` 0, and every change replaces
it: on a network file system a name that was absent stays so for a client for up to a minute, however often it looks,
and what is replaced is seen when it is opened again.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, ValidationError

from handlers.ckpt.files.durable import make_directory
from handlers.records.job_dir import StepDir
from handlers.records.record import Count, Device, Moment, Pid, Rank, Record, StartTime
from handlers.records.step_exit import ProcessExit, Survivor
from handlers.records.witness import Witness

Sequence = Annotated[int, Field(ge=0, lt=1 << 62)]
Port = Annotated[int, Field(gt=0, lt=1 << 16)]


class Polled(Record):
    """What somebody looks at again and again."""

    MOST_BYTES: ClassVar[int] = 16 << 20
    """Of a node with many ranks, each with its last words."""

    seq: Sequence = 0
    """Of its changes; 0 while its writer has said nothing."""

    @classmethod
    def now(cls, path: Path) -> Self | None:
        """Return what the file says; None where it says nothing or cannot be read at present."""
        try:
            found = cls.read(path)
        except (OSError, ValidationError):
            return None
        return found if found.seq else None


class Part(Polled):
    """part.json, of a node: what it brings to the training."""

    node: str = ""
    """What Slurm calls it."""
    host: str = ""
    address: str = ""
    """What the others know it by."""
    devices: tuple[Device, ...] = ()
    table: str | None = None
    """Its own rank table, as text; None where the ranks need none."""
    unfit: tuple[str, ...] = ()
    """What prevents a training on it, for people; nothing where it can take part."""
    code: str = ""
    """The same for programs; empty where it can."""


class RankPlace(Record):
    """Which rank runs on which device."""

    rank: Rank
    device: Device


class Start(Polled):
    """start.json, of the job's shim: all nodes may begin."""

    table: Path | None = None
    """The rank table of all."""
    size: Count = 0
    """How many ranks there are."""
    ranks: tuple[tuple[RankPlace, ...], ...] = ()
    """By the number of the node. They follow the order of the table's servers, which is not that of the nodes."""
    host: str = ""
    """Where the ranks of a cluster meet; empty where they need no such place."""
    port: Port | None = None


class Control(Polled):
    """control.json, of the job's shim: its sign of life, and what it wants of all nodes."""

    stop: str | None = None
    """Why to end the ranks."""
    stacks: bool = False
    """Whether to write down first where they are."""


class Request(Polled):
    """request.json, of the daemon: what it wants of the job's shim."""

    stop: str | None = None
    """Why to end the training: who asked."""


class NodeExit(Record):
    """How the ranks of a node ended."""

    is_good: bool
    was_told: bool = False
    """Whether it was told to end them, by a signal or by the job's shim."""
    why: str = ""
    """For people, where no rank tells."""
    code: str = ""
    processes: tuple[ProcessExit, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    frames: dict[int, str] = Field(default_factory=dict)
    """In which function each rank stood, where that was asked for and could be told."""
    ended: Moment


class NodeState(Polled):
    """state.json, of a node: its sign of life, and what became of its ranks."""

    node: str = ""
    pid: Pid | None = None
    """Of its shim."""
    start_time: StartTime | None = None
    boot_id: str = ""
    pids: dict[int, Pid] = Field(default_factory=dict)
    """Of its ranks."""
    failed: tuple[Witness, ...] = ()
    """All of its processes, once one has failed: those that have come first, in the order of their ends."""
    clock_offset: float = 0.0
    """By how many seconds the file server's clock is ahead of the node's."""
    exit: NodeExit | None = None


class Owner(Record):
    """owner.json, of the job's shim: the one that runs the attempt. It is never replaced."""

    job: str
    """Slurm's id of the job."""
    restarts: str = ""
    host: str
    pid: Pid
    start_time: StartTime
    boot_id: str
    nodelist: str = ""


class NodesDir:
    """`attempts/1/train`, of a training on several nodes."""

    def __init__(self, records: StepDir) -> None:
        self.path = records.path
        self.slurm = self.path / "slurm"
        """What concerns the job in Slurm."""
        self.out = self.slurm / "out"
        """What the batch step prints."""
        self.starter = self.slurm / "nodes.log"
        """What srun prints, which starts the nodes' shims."""
        self.status = self.slurm / "said.json"
        """What Slurm said last of the job."""
        self.job = self.slurm / "job.json"
        """Which job it is in Slurm."""
        self.owner = self.slurm / "owner.json"
        self.intent = self.slurm / "intent.json"
        self.job = self.slurm / "job.json"
        self.verdict = self.slurm / "verdict.json"
        """Slurm's word, where that ended the attempt."""
        self.request = self.path / "request.json"
        self.control = self.path / "control.json"
        self.start = self.path / "start.json"

    def node(self, number: int) -> Path:
        """Return where a node keeps its records."""
        return self.path / "nodes" / str(number)

    def log(self, number: int) -> Path:
        """Return what a node's shim prints; srun names it."""
        return self.path / "nodes" / f"{number}.log"

    def part(self, number: int) -> Path:
        """Return where a node says what it brings."""
        return self.node(number) / "part.json"

    def state(self, number: int) -> Path:
        """Return where a node says what it does."""
        return self.node(number) / "state.json"

    def lay_out(self, nodes: int) -> None:
        """Make each file that somebody will poll, unless it is there. Raises OSError."""
        make_directory(self.slurm)
        for path, empty in (
            (self.request, Request()),
            (self.control, Control()),
            (self.start, Start()),
            *((self.part(number), Part()) for number in range(nodes)),
            *((self.state(number), NodeState()) for number in range(nodes)),
        ):
            make_directory(path.parent)
            if not path.exists():
                empty.publish(path)
