"""The states of a job and the one table of allowed transitions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from handlers.records.job_dir import JobDir, Step
from handlers.run_names import time_of


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """Checked and waiting for its devices."""
    PREPARING = "preparing"
    """Has its devices; rank table and plan are being written."""
    SUBMITTED = "submitted"
    """Slurm has the job, or is about to; nodes are waited for."""
    TRAINING = "training"
    """Ranks run under a shim."""
    MERGING = "merging"
    """Shards become one filtered checkpoint, under a shim."""
    EVALUATING = "evaluating"
    """The published checkpoint is evaluated, under a shim, or waits for the devices that this needs."""
    DONE = "done"
    """The merged checkpoint is published."""
    FAILED = "failed"
    """Ended without a result; the reason says why."""
    CANCELLED = "cancelled"
    """Ended because somebody asked for it."""
    REJECTED = "rejected"
    """The dropped file could not be used; nothing was started."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless somebody asks."""
        return self in OVER


class Source(StrEnum):
    """What a job was made of."""

    DROP = "drop"
    """A file that somebody put into the inbox."""
    NIGHT = "night"
    """A file that a nightly cycle put there: it is called as a run of one."""
    TREE = "tree"
    """The shards in a watched tree: there is nothing to train."""


ACTIVE = frozenset({State.PREPARING, State.SUBMITTED, State.TRAINING, State.MERGING, State.EVALUATING})
OVER = frozenset({State.DONE, State.FAILED, State.CANCELLED, State.REJECTED})
STEP_OF = {
    State.SUBMITTED: Step.TRAIN,
    State.TRAINING: Step.TRAIN,
    State.MERGING: Step.MERGE,
    State.EVALUATING: Step.EVALUATE,
}
HOLDING_DEVICES = frozenset({State.PREPARING, State.TRAINING})
"""Where a job has all its devices. One that is evaluated has those of the evaluation, once it could get them."""
MAY_HOLD_DEVICES = HOLDING_DEVICES | {State.EVALUATING}
ON_DEVICES = frozenset({Step.TRAIN, Step.EVALUATE})
"""The steps that run on devices, or may."""

TRANSITIONS: dict[State, frozenset[State]] = {
    # A watched tree's job has nothing to train and goes straight to merging.
    State.QUEUED: frozenset({State.PREPARING, State.MERGING, State.CANCELLED, State.FAILED}),
    # A retried job whose training had come to its end has only to be merged.
    State.PREPARING: frozenset({State.SUBMITTED, State.TRAINING, State.MERGING, State.FAILED, State.CANCELLED}),
    # To itself as the next attempt alone: a training that is resumed, what else a reboot of the host cut off.
    State.SUBMITTED: frozenset({State.SUBMITTED, State.TRAINING, State.MERGING, State.FAILED, State.CANCELLED}),
    State.TRAINING: frozenset({State.SUBMITTED, State.TRAINING, State.MERGING, State.FAILED, State.CANCELLED}),
    State.MERGING: frozenset({State.MERGING, State.EVALUATING, State.DONE, State.FAILED, State.CANCELLED}),
    State.EVALUATING: frozenset({State.EVALUATING, State.DONE, State.FAILED, State.CANCELLED}),
    # A retry goes back to the step that did not succeed.
    State.FAILED: frozenset({State.QUEUED, State.MERGING}),
    State.CANCELLED: frozenset({State.QUEUED, State.MERGING}),
    State.DONE: frozenset(),
    State.REJECTED: frozenset(),
}
MOST_FORGOTTEN = 1000
"""Attempts that a store may be behind a job's directory."""


def attempts_more(was: State, state: State) -> range:
    """Return by how much the attempt may grow on a job's way from `was` to `state`.

    A retry also counts those that an older store has forgotten, and the job's directory has not.
    """
    return range(1 if state is was else 0, 1 + (MOST_FORGOTTEN if was.is_over else 1))


@dataclass(frozen=True)
class Job:
    """One row of the store: a job's place in the queue and its state."""

    id: int
    name: str
    state: State
    reason: str
    """Why it is in this state, for people; empty when there is nothing to say."""
    attempt: int
    priority: int
    devices: tuple[int, ...]
    """Empty for a merge of a watched tree."""
    prefix: str
    cancel: bool
    """Whether somebody asked to end it; it is ended as soon as that can be done."""
    submitted: datetime
    changed: datetime
    source: Source = Source.DROP
    code: str = ""
    """What programs tell `reason` by; empty where nothing says it."""
    cycle: str = ""
    """Of which nightly cycle it is a run; empty where of none."""
    continues: int | None = None
    """From which job's output its training went on; None for none, and where nobody knows."""
    nodes: int = 0
    """On how many nodes of Slurm's it trains; 0 for this host."""
    ranks_in_all: int = 0
    """How many ranks those have; 0 for one on each of its devices."""

    @property
    def label(self) -> str:
        """The name of its directory: `0042-run_glm_6b_finetune`."""
        return f"{self.id:04d}-{self.name}"

    @property
    def due(self) -> datetime:
        """For which time of its cycle it is the run, where it is one."""
        return time_of(self.name) or self.submitted

    @property
    def ranks(self) -> range:
        """The numbers of its ranks: one trains on each device."""
        return range(self.ranks_in_all or len(self.devices))

    @property
    def shape(self) -> str:
        """How many devices of how many nodes of Slurm's it has, as `Slurm 2×8`; empty for a job of this host."""
        return f"Slurm {self.nodes}×{self.ranks_in_all // self.nodes}" if self.nodes else ""

    @property
    def writer(self) -> tuple[str, int]:
        """The key of all work that writes in its directory: there is one at a time."""
        return "writer of job", self.id

    def directory(self, root: Path) -> JobDir:
        """Return its directory under `root`."""
        return JobDir(root / "jobs" / self.label)
