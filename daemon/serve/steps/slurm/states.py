"""What Slurm's word of a job means for its attempt. Pure: nothing is asked, and nothing is done here.

Slurm's word counts only where no record of handlers.shim.job says how the training ended. The states are those of Slurm
22.05's squeue(1), JOB STATE CODES. A word that is in no table here is as no answer: a new Slurm may have it, and it
means neither that the job is over nor that it is not.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from handlers.codes import Code
from handlers.resume.decision import Ending, Failure
from handlers.slurm.queue import Row


class Phase(Enum):
    """Where Slurm has a job."""

    WAITS = auto()
    """In its queue."""
    RUNS = auto()
    """On nodes, or about to be off them: what is left of it may still be there."""
    OVER = auto()
    """Nothing of it is left on any node that answers."""


_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD")
_RUNNING = (
    "RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING", "COMPLETING", "SPECIAL_EXIT",
)  # fmt: skip
_FINAL = (
    "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED",
    "OUT_OF_MEMORY",
)  # fmt: skip
_PHASES = {
    **dict.fromkeys(_WAITING, Phase.WAITS),
    **dict.fromkeys(_RUNNING, Phase.RUNS),
    **dict.fromkeys(_FINAL, Phase.OVER),
}

_LOST = (Ending.TAKEN, "a node was lost", Code.SLURM_NODE_LOST)
_ENDINGS = {
    "NODE_FAIL": _LOST,
    "BOOT_FAIL": _LOST,
    "REVOKED": _LOST,
    "COMPLETING": _LOST,
    "PREEMPTED": (Ending.TAKEN, "another job has its nodes", Code.SLURM_PREEMPTED),
    "TIMEOUT": (Ending.TIME, "the Slurm job came to its time limit", Code.SLURM_TIME),
    "DEADLINE": (Ending.OVERTIME, "the deadline of the Slurm job is past", Code.SLURM_TIME),
    "CANCELLED": (Ending.STOPPED, "the job was cancelled in Slurm, and not by glmd cancel", Code.SLURM_CANCELLED),
    "OUT_OF_MEMORY": (
        Ending.FAILED,
        "more than the memory of the Slurm job on a node (slurm.memory, slurm.merge.memory)",
        Code.SLURM_MEMORY,
    ),
}  # fmt: skip
"""Of jobs that are over, and of which no record says how; what is left came to an end that says nothing of why."""

_NEEDS_SOMEBODY = (
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "BadConstraints",
    "InvalidAccount",
    "InvalidQOS",
    "JobHeldUser",
    "JobHeldAdmin",
    "AccountNotAllowed",
    "AssocMaxNodePerJobLimit",
    "QOSNotAllowed",
    "LaunchFailed",
    "DependencyNeverSatisfied",
)
"""Reasons of PENDING that do not pass by themselves."""


_NO_NODES = ("ReqNodeNotAvail", "Nodes required for job are DOWN", "NodeDown", "PartitionNodeLimit")


@dataclass(frozen=True)
class Word:
    """What Slurm says of a job."""

    state: str
    reason: str

    @classmethod
    def of(cls, row: Row) -> Self:
        """Return what squeue says."""
        return cls(row.state, row.reason)

    @property
    def phase(self) -> Phase | None:
        """Where the job is; None for a word that is not known."""
        return _PHASES.get(self.state)

    @property
    def is_refusal(self) -> bool:
        """Whether sbatch was refused: Slurm keeps a row of what it did not take, too."""
        return (self.state, self.reason) == ("FAILED", "BadConstraints")

    @property
    def has_lost_a_node(self) -> bool:
        """Whether a node is down: COMPLETING hides that for as long as Slurm waits for it."""
        return self.state in {"NODE_FAIL", "BOOT_FAIL"} or (self.state == "COMPLETING" and self.reason == "NodeDown")

    def __str__(self) -> str:
        """Return it as people are told."""
        return self.state if self.reason in {"", "None"} else f"{self.state} ({self.reason})"


UNSAID = Word("", "")
"""Slurm has said nothing for so long that nothing is waited for any more."""


@dataclass(frozen=True)
class CancelledByWish:
    """Slurm has cancelled the job because glmd was asked to end it."""

    reason: str


def wants_other_nodes(reason: str) -> bool:
    """Say whether a job that waits for `reason` waits for nodes that are not there, rather than for busy ones."""
    return reason.startswith((*_NO_NODES, "BadConstraints"))


def needs_somebody(reason: str) -> bool:
    """Say whether a job that waits for `reason` waits for ever, unless somebody does something."""
    return reason.startswith(_NEEDS_SOMEBODY)


def ending(word: Word, *, has_begun: bool, asked: bool) -> Failure | CancelledByWish | None:
    """Return how the attempt ended by Slurm's word alone; None where that does not say that it has ended.

    `has_begun` where the batch step was there, `asked` where glmd was asked to end it.
    """
    if word.phase is not Phase.OVER and not word.has_lost_a_node:
        return None
    if word.state == "CANCELLED" and asked:
        return CancelledByWish("Slurm has cancelled the job")
    if word.state in _ENDINGS:
        kind, what, code = _ENDINGS[word.state]
        return Failure(kind, f"Slurm says {word}: {what}", False if code is Code.SLURM_MEMORY else None, code)
    if not has_begun:
        reason = f"Slurm says {word}: the batch step did not start, see `glmd logs N --slurm batch` (or merge)"
        return Failure(Ending.TAKEN, reason, code=Code.SLURM_NOT_BEGUN)
    reason = f"Slurm says {word}, and the shim of the job ended without a record"
    return Failure(Ending.FAILED, reason, code=Code.SHIM_DIED)


def forgotten() -> Failure:
    """Return how an attempt ended that had begun, of which Slurm knows nothing any more, nor writes any node."""
    reason = "Slurm does not know the job any more, and none of its nodes gives a sign of life"
    return Failure(Ending.TAKEN, reason, code=Code.SLURM_FORGOTTEN)
