"""What glmd would remove of a root now, and what it keeps: found out by whoever asks, and only read.

The rules are in handlers.retention.rules; here is what they are applied to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.promotions import Kind
from daemon.core.protection import protected_jobs, protected_outputs
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import OVER, Job, Source, State
from handlers.retention.pieces import YOUNG, Piece, pieces
from handlers.retention.rules import Choice, Part, PastJob, choose
from handlers.run_names import time_of

Seen = tuple[int, frozenset[tuple[int, int]]]
"""What a plan was made of and may have changed since: the newest promotion, and the jobs that are not over."""


@dataclass(frozen=True)
class Item:
    """A part of a job, and what becomes of it."""

    job: Job
    part: Part
    bytes: int
    goes: bool
    why: str
    is_doubt: bool = False
    """Whether it stays since glmd is not sure whose it is."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "job": self.job.id,
            "name": self.job.name,
            "part": self.part,
            "bytes": self.bytes,
            "goes": self.goes,
            "why": self.why,
        }


@dataclass(frozen=True)
class Plan:
    """What would be removed, and what stays though a rule could have removed it."""

    items: tuple[Item, ...]
    seen: Seen

    @property
    def going(self) -> tuple[Item, ...]:
        """What is to be removed."""
        return tuple(item for item in self.items if item.goes)

    @property
    def bytes(self) -> int:
        """How much that frees."""
        return sum(item.bytes for item in self.going)


def seen_in(store: ReadStore) -> Seen:
    """Return what a plan depends on."""
    return store.newest_promotion(), frozenset((job.id, job.attempt) for job in store.jobs(set(State) - OVER))


def plan(root: Root, settings: Settings, now: datetime, *, is_asked: bool) -> Plan:
    """Say what is to be removed; without having been asked, only nightly jobs that came since glmd can prune count.

    Raises OSError, and StoreError. It may take as long as a look at all these jobs' directories does.
    """
    root.jobs.stat()  # while it is away nothing is to be decided
    with ReadStore.open(root.store) as store:
        seen = seen_in(store)
        first = store.first_prunable()
        over = tuple(job for job in store.jobs(OVER) if not _is_gone(store, job))
        jobs = [job for job in over if is_asked or _is_automatic(job, first)]
        found = _Facts(root, settings, store, now, first).all(jobs, over)
    choices = choose([past for past, _ in found.values()], settings.retention, now, is_asked=is_asked)
    by_id = {job.id: job for job in jobs}
    return Plan(tuple(_item(by_id[choice.job], choice, found[choice.job][1]) for choice in choices), seen)


def _item(job: Job, choice: Choice, there: dict[Part, Piece]) -> Item:
    piece = there[choice.part]
    return Item(job, choice.part, piece.bytes, choice.goes, choice.why, is_doubt=bool(piece.doubt))


def _is_automatic(job: Job, first: int) -> bool:
    return job.source is Source.NIGHT and bool(job.cycle) and job.id >= first


def _is_gone(store: ReadStore, job: Job) -> bool:
    return any(one.part is Part.RECORDS for one in store.prunings_of(job))


class _Facts:
    def __init__(self, root: Root, settings: Settings, store: ReadStore, now: datetime, first: int) -> None:
        self._root = root
        self._settings = settings
        self._store = store
        self._now = now
        self._first = first
        self._owner = root.jobs.stat().st_uid

    def all(self, jobs: Sequence[Job], over: Iterable[Job]) -> dict[int, tuple[PastJob, dict[Part, Piece]]]:
        """Return what is known of each of `jobs`; all that are `over` may read what others have left."""
        readers = (*self._store.jobs(set(State) - OVER), *(job for job in over if self._is_retryable(job)))
        outputs = protected_outputs(self._store, self._root, self._settings)
        whole = protected_jobs(self._root, self._settings, readers)
        promoted = {
            one.job for one in self._store.promotions() if one.undone is None and one.kind is not Kind.REMOVED
        }  # fmt: skip
        losses = self._store.final_losses()
        locked = set(self._store.locks().values())
        last_done = {
            done.id for cycle in {job.cycle for job in jobs} if cycle and (done := self._store.newest_done(cycle))
        }
        found = {}
        for job in jobs:
            there = pieces(job.directory(self._root.path), self._owner)
            every = "processes of it are left on its devices" if job.id in locked else whole.get(job.id, "")
            protected = {
                part: why for part, piece in there.items() if (why := piece.doubt or every or self._young(job, piece))
            }
            if job.id in outputs:
                protected.setdefault(Part.MERGED, outputs[job.id])
            if job.id in last_done:
                protected.setdefault(Part.RECORDS, "the next night is compared with what it was trained on")
            found[job.id] = (self._past(job, there, protected, promoted, losses), there)
        return found

    def _past(
        self,
        job: Job,
        there: dict[Part, Piece],
        protected: dict[Part, str],
        promoted: set[int | None],
        losses: dict[int, float],
    ) -> PastJob:
        return PastJob(
            job.id,
            job.prefix,
            job.cycle,
            ended=self._ended(job),
            is_done=job.state is State.DONE,
            is_promoted=job.id in promoted,
            parts=frozenset(there),
            loss=losses.get(job.id),
            is_automatic=_is_automatic(job, self._first),
            protected=protected,
        )

    def _ended(self, job: Job) -> datetime:
        """Return when a job was over: a night's not before its time, whatever the clock was set to since."""
        due = time_of(job.name) if job.cycle else None
        return max(job.changed, due or job.changed)

    def _young(self, job: Job, piece: Piece) -> str:
        least = self._now - timedelta(seconds=YOUNG)
        if self._ended(job) > least or piece.changed > least.timestamp():
            return "it was changed less than an hour ago"
        return ""

    def _is_retryable(self, job: Job) -> bool:
        """Say whether somebody may still want to go on with a job: its shards would not have gone by their age."""
        span = self._settings.retention.of(job.prefix).shards.failed
        is_young = span is None or self._now - self._ended(job) <= timedelta(seconds=span)
        return job.state in {State.FAILED, State.CANCELLED} and is_young
