"""The logs of a job that the page may show: a fixed list, which no address can add to."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.core.states import Job
from daemon.face.below import is_below, opened_below
from daemon.face.web.asking import Asked, NotThereError
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir

_MOST_RANKS = 64
"""Of which logs are looked for."""
_MOST_ATTEMPTS = 20
"""The newest, whose logs are offered; the others' are there by their address."""


class Kind(StrEnum):
    """Whose log it is."""

    RANK = "rank"
    SCHEDULER = "scheduler"
    EVALUATION = "evaluation"
    EVALUATION_ERRORS = "evaluation-errors"
    SHIM_OF_TRAINING = "shim-train"
    SLURM_BATCH = "slurm-batch"
    SLURM_NODES = "slurm-nodes"
    SLURM_NODE = "slurm-node"
    SHIM_OF_MERGE = "shim-merge"
    SHIM_OF_EVALUATION = "shim-evaluate"
    STACKS = "stacks"
    EVENTS = "events"


OF_RANKS = frozenset({Kind.RANK, Kind.STACKS})
_NUMBERED = OF_RANKS | {Kind.SLURM_NODE}
"""Of which there are several, told apart by a number: a rank's, or a node's."""
_SHIMS = {
    Kind.SHIM_OF_TRAINING: Step.TRAIN,
    Kind.SHIM_OF_MERGE: Step.MERGE,
    Kind.SHIM_OF_EVALUATION: Step.EVALUATE,
}


@dataclass(frozen=True)
class Log:
    """One of the logs of a job."""

    kind: Kind
    attempt: int
    rank: int | None = None
    """Or which node's of the job it is."""

    def path(self, job: Job, directory: JobDir) -> Path:
        """Return where it lies."""
        if self.kind in _SHIMS:
            return directory.step(self.attempt, _SHIMS[self.kind]).log
        output = directory.output if self.attempt == job.attempt else directory.earlier_output(self.attempt)
        evaluation = directory.step(self.attempt, Step.EVALUATE)
        nodes = NodesDir(directory.step(self.attempt, Step.TRAIN))
        return {
            Kind.RANK: output / "log" / f"rank_{self.rank}" / "mindformer.log",
            Kind.SCHEDULER: output / "log" / "scheduler.log",
            Kind.EVALUATION: evaluation.stdout,
            Kind.EVALUATION_ERRORS: evaluation.stderr,
            Kind.STACKS: directory.step(self.attempt, Step.TRAIN).stacks / f"rank_{self.rank}.txt",
            Kind.SLURM_BATCH: nodes.out,
            Kind.SLURM_NODES: nodes.starter,
            Kind.SLURM_NODE: nodes.log(self.rank or 0),
            Kind.EVENTS: directory.events,
        }[self.kind]

    def query(self, job: Job) -> dict[str, object]:
        """Return what of an address names it."""
        named: dict[str, object] = {} if self.kind in {Kind.RANK, Kind.EVENTS} else {"of": self.kind}
        if self.rank is not None:
            named["rank"] = self.rank
        if self.attempt != job.attempt:
            named["attempt"] = self.attempt
        return named

    @property
    def file_name(self) -> str:
        """What it is called when it is fetched, without the job."""
        rank = "" if self.rank is None else f"-{self.rank}"
        return f"{self.kind}{rank}-attempt-{self.attempt}.log"


def log_asked_for(job: Job, query: Mapping[str, str], asked: Asked) -> Log | None:
    """Return the log that an address names; None where it leaves that open. Raises NotThereError."""
    attempt = asked.number("attempt", 1, job.attempt, job.attempt)
    if "of" not in query and "rank" not in query:
        return None
    try:
        kind = Kind(query.get("of") or Kind.RANK)
    except ValueError:
        raise NotThereError(asked.words.say("log", "no_such")) from None
    if kind not in _NUMBERED:
        return Log(kind, attempt)
    numbers = range(job.nodes) if kind is Kind.SLURM_NODE else job.ranks
    if not numbers:
        raise NotThereError(asked.words.say("log", "no_such"))
    return Log(kind, attempt, asked.number("rank", 0, numbers[-1], 0))


def logs_of(job: Job, attempt: int, root: Path) -> tuple[Log, ...]:
    """Return those logs of an attempt that are there."""
    directory = job.directory(root)
    return tuple(log for log in _possible(job, attempt) if is_below(directory.path, log.path(job, directory)))


def attempts_of(job: Job) -> tuple[int, ...]:
    """Return the newest attempts, oldest first."""
    return tuple(range(max(1, job.attempt - _MOST_ATTEMPTS + 1), job.attempt + 1))


def opened(job: Job, path: Path, asked: Asked) -> io.FileIO:
    """Open a file of a job's. Raises NotThereError where there is no regular file, and OSError."""
    try:
        return opened_below(job.directory(asked.site.root.path).path, path)
    except FileNotFoundError:
        raise NotThereError(asked.words.say("log", "not_there", name=path.name)) from None


def _possible(job: Job, attempt: int) -> Iterator[Log]:
    ranks = job.ranks[:_MOST_RANKS]
    yield from (Log(Kind.RANK, attempt, rank) for rank in ranks)
    yield from (Log(kind, attempt) for kind in Kind if kind not in _NUMBERED and kind is not Kind.EVENTS)
    yield from (Log(Kind.SLURM_NODE, attempt, node) for node in range(min(job.nodes, _MOST_RANKS)))
    yield from (Log(Kind.STACKS, attempt, rank) for rank in ranks)
