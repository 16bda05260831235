"""What glmd would remove of a root now, and what it keeps: found out by anyone who asks, and only read.

The rules are in handlers.retention.rules; here is what they are applied to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from daemon.core.promotions import Kind, says_no
from daemon.core.protection import Protection
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import OVER, Job, Source, State
from handlers.retention.part import Part
from handlers.retention.pieces import YOUNG, Piece, pieces
from handlers.retention.rules import Choice, PastJob, choose
from handlers.run_names import time_of
from handlers.validate.disk_estimate import in_words

Seen = tuple[int, frozenset[tuple[int, int]], frozenset[str]]
"""What a plan was made of and may have changed since: the newest promotion, jobs that are not over, files taken."""


@dataclass(frozen=True)
class Item:
    """A part of a job, and what becomes of it."""

    job: Job
    part: Part
    bytes: int
    goes: bool
    why: str
    is_automatic: bool
    """Whether glmd removes it by itself, once it may."""
    is_doubt: bool
    """Whether it stays since glmd is not sure whose it is."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "job": self.job.id,
            "name": self.job.name,
            "part": self.part,
            "bytes": self.bytes,
            "goes": self.goes,
            "automatic": self.is_automatic,
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

    def summary(self, happens: str) -> str:
        """Say in a line how much `happens`, as `would be removed`."""
        if not self.going:
            return "nothing is to be removed"
        jobs = len({item.job.id for item in self.going})
        return f"{in_words(self.bytes)} {happens}: {_counted(len(self.going), 'part')} of {_counted(jobs, 'job')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def seen_in(root: Root, store: ReadStore) -> Seen:
    """Return what a plan depends on. Raises OSError."""
    jobs = frozenset((job.id, job.attempt) for job in store.jobs(set(State) - OVER))
    return store.newest_promotion(), jobs, frozenset(claim.name for claim in root.claims.iterdir())


def plan(root: Root, settings: Settings, now: datetime, *, is_asked: bool) -> Plan:
    """Say what is to be removed; without having been asked, only nightly jobs that came since glmd can prune count.

    Raises OSError, and StoreError. It may take as long as a look at all these jobs' directories does.
    """
    root.jobs.stat()  # while it is away nothing is to be decided
    with ReadStore.open(root.store) as store:
        seen = seen_in(root, store)
        first = store.first_prunable()
        over = tuple(job for job in store.jobs(OVER) if not _is_gone(store, job))
        jobs = [job for job in over if is_asked or _is_automatic(job, first)]
        found = _Facts(root, settings, store, now, first).all(jobs, over)
    choices = choose([past for past, _ in found.values()], settings.retention, now, is_asked=is_asked)
    by_id = {job.id: job for job in jobs}
    return Plan(tuple(_item(by_id[choice.job], choice, *found[choice.job]) for choice in choices), seen)


def _item(job: Job, choice: Choice, past: PastJob, there: dict[Part, Piece]) -> Item:
    piece = there[choice.part]
    return Item(job, choice.part, piece.bytes, choice.goes, choice.why, past.is_automatic, bool(piece.doubt))


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
        self._locked = frozenset(store.locks().values())
        self._losses = store.final_losses()
        self._last_done = cache(lambda cycle: store.newest_done(cycle) if cycle else None)

    def all(self, jobs: Sequence[Job], over: Iterable[Job]) -> dict[int, tuple[PastJob, dict[Part, Piece]]]:
        """Return what is known of each of `jobs`; all that are `over` may read what others have left."""
        readers = (*self._store.jobs(set(State) - OVER), *(job for job in over if self._is_retryable(job)))
        protection = Protection(self._root)
        protection.add_outputs(self._store, self._settings)
        protection.add_readers(self._settings, readers)
        history = [one for one in self._store.promotions() if one.kind is not Kind.REMOVED]
        promoted = {one.job for one in history if one.kind is not Kind.ROLLBACK and one.undone is None}
        objected = {one.job for one in history} - promoted
        found = {}
        for job in jobs:
            there = pieces(job.directory(self._root.path), self._owner, records=self._are_records_old(job))
            past = PastJob(
                job.id,
                job.prefix,
                job.cycle,
                ended=self._ended(job),
                is_promoted=job.id in promoted,
                is_good=job.state is State.DONE
                and (job.id in promoted or not (says_no(job.code) or job.id in objected)),
                parts=frozenset(there),
                loss=self._losses.get(job.id),
                is_automatic=_is_automatic(job, self._first),
                protected=self._protected(job, there, protection),
            )
            found[job.id] = (past, there)
        return found

    def _protected(self, job: Job, there: dict[Part, Piece], protection: Protection) -> dict[Part, str]:
        """Return what stays of a job whatever the rules say, with why."""
        found = protection.of(job)
        for part, piece in there.items():
            if job.id in self._locked:
                found[part] = "processes of it are left on its devices"
            elif why := piece.doubt or self._young(job, piece):
                found[part] = why
            elif job.id not in self._losses:
                found[part] = "glmd has not measured its results yet"
        if (last := self._last_done(job.cycle)) and last.id == job.id:
            found.setdefault(Part.RECORDS, "the next night compares its inputs with those of this job")
        return found

    def _are_records_old(self, job: Job) -> bool:
        span = self._settings.retention.of(job.prefix).records
        return span is not None and self._now - self._ended(job) > timedelta(seconds=span)

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
