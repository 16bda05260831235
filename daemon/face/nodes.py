"""Where a training runs that Slurm has placed: its job there, its nodes, and which rank has which device of which.

It is read from the attempt's records. Nobody here asks Slurm: the daemon keeps what that said last.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from daemon.core.states import Job, State
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir, NodeState, Owner, Part, Start
from handlers.records.record import Record
from handlers.records.slurm import SlurmStatus, Submitted

Kept = TypeVar("Kept", bound=Record)


@dataclass(frozen=True)
class Place:
    """Where a rank runs."""

    node: str
    """What Slurm calls it."""
    device: int


@dataclass(frozen=True)
class InSlurm:
    """The Slurm job of an attempt."""

    id: str
    """Slurm's number of it; empty while Slurm has not taken it."""
    state: str
    """Slurm's own word, as `PENDING`; empty before it was asked, and once the training is over: glmd may have
    known that before Slurm did."""
    reason: str
    partition: str
    nodes: str
    """As `n[1-2]`; empty while it has none."""
    expected: datetime | None
    """When it is to start; None once it has, and where Slurm does not know."""
    ranks: Mapping[str, tuple[int, ...]]
    """Of each node; empty until the nodes have said what they bring."""

    def facts(self) -> dict[str, str]:
        """Return what there is to say, by the names of [facts]; without those that are not known."""
        facts = {
            "slurm_job": self.id,
            "slurm_state": f"{self.state} ({self.reason})" if self.reason else self.state,
            "partition": self.partition,
            "nodes": self.nodes,
            "expected": "" if self.expected is None else f"{self.expected.astimezone():%Y-%m-%d %H:%M}",
            "node_ranks": "; ".join(f"{node}: {_spread(ranks)}" for node, ranks in self.ranks.items()),
        }
        return {name: text for name, text in facts.items() if text}

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "id": self.id or None,
            "state": self.state or None,
            "reason": self.reason,
            "partition": self.partition,
            "nodes": self.nodes,
            "expected_start": None if self.expected is None else self.expected.isoformat(),
            "ranks": {node: list(ranks) for node, ranks in self.ranks.items()},
        }


def in_slurm(job: Job, root: Path) -> InSlurm | None:
    """Return what is known of the present attempt's Slurm job; None for a job of this host. Raises OSError."""
    if not job.nodes:
        return None
    directory = _directory(job, root)
    status, submitted, owner = (
        _read(SlurmStatus, directory.status), _read(Submitted, directory.job), _read(Owner, directory.owner)
    )  # fmt: skip
    number = owner.job if owner is not None else submitted.id if submitted is not None else status.id if status else ""
    ranks: dict[str, tuple[int, ...]] = {}
    for rank, place in sorted(places_of(job, root).items()):
        ranks[place.node] = (*ranks.get(place.node, ()), rank)
    now = status if job.state in {State.SUBMITTED, State.TRAINING} else None
    return InSlurm(
        id=number,
        state="" if now is None else now.state,
        reason="" if now is None else now.reason,
        partition="" if status is None else status.partition,
        nodes=(status.nodes if status is not None else "") or (owner.nodelist if owner is not None else ""),
        expected=None if now is None else now.expected,
        ranks=ranks,
    )


def records_of(job: Job, root: Path) -> tuple[Path, ...]:
    """Return the files of which one is written before what `in_slurm` returns changes; none of a job of this host."""
    directory = _directory(job, root)
    return (directory.status, directory.job, directory.owner, directory.start) if job.nodes else ()


def places_of(job: Job, root: Path) -> dict[int, Place]:
    """Return where each rank of the present attempt runs; nothing until all nodes have said what they bring."""
    directory = _directory(job, root)
    start = Start.now(directory.start)
    if start is None:
        return {}
    found: dict[int, Place] = {}
    for number, ranks in enumerate(start.ranks):
        part = Part.now(directory.part(number))
        node = part.node if part is not None and part.node else f"node {number}"
        found |= {place.rank: Place(node, place.device) for place in ranks}
    return found


def pids_on(job: Job, root: Path) -> dict[int, int]:
    """Return the pid that each rank of the present attempt has on its node: those that are told."""
    return {rank: pid for state in _states(job, root) for rank, pid in state.pids.items()}


def _spread(ranks: Sequence[int]) -> str:
    """Return the ranks of a node in few characters: those of one follow each other."""
    is_whole = len(ranks) > 1 and ranks[-1] - ranks[0] + 1 == len(ranks)
    return f"{ranks[0]}-{ranks[-1]}" if is_whole else " ".join(map(str, ranks))


def _states(job: Job, root: Path) -> Iterator[NodeState]:
    directory = _directory(job, root)
    for number in range(job.nodes):
        if (state := NodeState.now(directory.state(number))) is not None:
            yield state


def _directory(job: Job, root: Path) -> NodesDir:
    return NodesDir(job.directory(root).step(job.attempt, Step.TRAIN))


def _read(kind: type[Kept], path: Path) -> Kept | None:
    """Return a record; None where it is not there, or damaged: it is shown, and decides nothing. Raises OSError."""
    try:
        return kind.read(path)
    except (FileNotFoundError, ValidationError):
        return None
