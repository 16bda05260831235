"""Output trees of runs that glmd did not start: when their shards are complete, a job merges them."""

import hashlib
import math
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from daemon.faults import Faults
from daemon.intake import job_name
from daemon.root import Root
from daemon.settings import WatchSettings
from daemon.states import Job, State
from daemon.store import NewJob, Store
from daemon.workers import Workers
from handlers.ckpt.durable import make_directory
from handlers.ckpt.errors import CkptError
from handlers.errors import HandlerError
from handlers.job_plan import JobPlan
from handlers.merge_plan import MergePlan
from handlers.shards.closing import QUIET
from handlers.shards.names import LAST, NETWORK
from handlers.shards.readiness import NotReady, Readiness, Ready
from handlers.shards.tree_tracker import TreeTracker

MOST_HINTS = 10_000
"""More than so many that wait are given up for one look at the whole tree."""

_OVERTAKEN = frozenset({LAST, str(NETWORK)})
"""The tags whose shards are others after the training has saved again."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(eq=False)
class _Tree:
    settings: WatchSettings
    tracker: TreeTracker
    """Used by one worker at a time."""
    hints: list[tuple[Path, bool]] = field(default_factory=list)
    """Where something happened that the tracker has not been told of, in order, and whether it was a close."""
    look_at: float | None = 0.0
    """When to look at the whole tree, on the monotonic clock; None where nothing speaks for it."""
    noticed: float = -math.inf
    """When something last happened, on the monotonic clock."""
    is_looked_at: bool = False
    """By a worker, at this moment: what is noticed meanwhile is looked at when it has ended."""
    said: str = ""

    def look_by(self, when: float) -> None:
        """Look at the whole tree at `when`, if not before."""
        self.look_at = when if self.look_at is None else min(self.look_at, when)


class WatchedTrees:
    """All trees of the setting `watch:`.

    A hint costs the work of the one path that it is about; whole trees are looked at when hints may have been lost.
    """

    def __init__(
        self, settings: Iterable[WatchSettings], root: Root, store: Store, workers: Workers, faults: Faults
    ) -> None:
        self._trees = {one.path: _Tree(one, _tracker(one)) for one in settings}
        self._root = root
        self._store = store
        self._workers = workers
        self._faults = faults

    @property
    def directories(self) -> tuple[Path, ...]:
        """What to watch, each with all below it."""
        return tuple(self._trees)

    def notice(self, path: Path, now: float, *, closed: bool = False) -> None:
        """Take a hint that something changed at `path`; `closed` if somebody who wrote into it closed it."""
        for directory, tree in self._trees.items():
            if path.is_relative_to(directory):
                tree.noticed = now
                tree.hints.append((path, closed))
                if len(tree.hints) > MOST_HINTS:
                    tree.hints.clear()
                    tree.look_by(now)

    def look_at_all(self, now: float) -> None:
        """Look at every tree, whatever was noticed."""
        for tree in self._trees.values():
            tree.look_by(now)

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds `turn` has something to do; None when it has nothing."""
        waiting = [tree for tree in self._trees.values() if not tree.is_looked_at]
        if any(tree.hints for tree in waiting):
            return 0.0
        return min((max(0.0, tree.look_at - now) for tree in waiting if tree.look_at is not None), default=None)

    def turn(self, now: float) -> None:
        """Look at the trees that are due, and follow the hints about the others, in worker threads."""
        for tree in self._trees.values():
            is_due = tree.look_at is not None and tree.look_at <= now
            if tree.is_looked_at or not (is_due or tree.hints):
                continue
            hints, tree.hints, tree.is_looked_at = tree.hints, [], True
            key = ("tree", self, tree.settings.path)  # after a reload, the trees of before may still be looked at
            if is_due:
                tree.look_at = None
                self._workers.submit(key, tree.tracker.look, partial(self._looked, tree))
            else:
                self._workers.submit(key, partial(_follow, tree.tracker, hints), partial(self._followed, tree))

    def _followed(self, tree: _Tree, follow: Future[Ready | None]) -> None:
        tree.is_looked_at = False
        try:
            ready = follow.result()
        except Exception:  # noqa: BLE001 - the look says what is wrong
            tree.look_by(time.monotonic())  # the hints are lost
            return
        if ready is None:
            self._look_when_at_rest(tree)
        else:
            self._merge_when_quiet(tree, ready)

    def _looked(self, tree: _Tree, look: Future[Readiness]) -> None:
        tree.is_looked_at = False
        try:
            seen = look.result()
        except (HandlerError, CkptError, OSError) as error:
            seen = NotReady(str(error))
        except Exception as error:  # of what others have written there; the next daemon would meet it again
            log.exception("look_broke", path=str(tree.settings.path))
            seen = NotReady(f"a defect in glmd: {type(error).__name__}: {error}; see the daemon's log")
        if isinstance(seen, NotReady):
            self._say(tree, seen.reason)
            self._look_when_at_rest(tree)
        else:
            self._merge_when_quiet(tree, seen)

    def _look_when_at_rest(self, tree: _Tree) -> None:
        """Look again when what may still be open is at rest."""
        if time.monotonic() - tree.noticed < QUIET:
            tree.look_by(tree.noticed + QUIET + 1)

    def _merge_when_quiet(self, tree: _Tree, ready: Ready) -> None:
        rest = tree.settings.quiet - ready.age
        if tree.settings.tag in _OVERTAKEN and rest > 0:  # newer shards may be on their way
            tree.look_by(time.monotonic() + rest)
        else:
            # Where that fails, the rescan that a fault brings about looks again.
            self._faults.attempt(f"tree {tree.settings.path}", partial(self._merge, tree, ready))

    def _end_overtaken(self, path: Path, job: Job) -> None:
        """End what a crash has left without a plan, if by now its shards are no longer there to plan with."""
        for other in self._store.queued_from(source_of(path)):
            if other.id != job.id and not other.directory(self._root.path).plan.exists():
                reason = f"glmd was killed before it had planned this merge, and {path} holds other shards now"
                self._store.move(other, State.FAILED, f"{reason}: see job {job.id}")

    def _say(self, tree: _Tree, reason: str) -> None:
        if reason != tree.said:
            tree.said = reason
            log.info("tree_not_ready", path=str(tree.settings.path), reason=reason)

    def _merge(self, tree: _Tree, ready: Ready) -> None:
        """Queue a merge of what is ready, unless these very shards have had one."""
        settings = tree.settings
        new = NewJob(claim=_claim(settings.path, ready), name=job_name(settings.path.name), prefix=ready.prefix)
        job = self._store.add(new)
        self._end_overtaken(settings.path, job)
        directory = job.directory(self._root.path)
        if job.state is not State.QUEUED or directory.plan.exists():
            return
        make_directory(directory.path)
        plan = JobPlan(
            job=job.id,
            name=job.name,
            merge=MergePlan(
                source=settings.path,
                needs_strategy=settings.needs_strategy,
                ranks=settings.ranks,
                prefix=ready.prefix,
                tag=str(ready.tag),
                allow_not_finite=("*",),
                destination=directory.merged,
                latest=self._root.latest / ready.prefix,
            ),
        )
        plan.publish(directory.plan)
        log.info("tree_ready", job=job.id, path=str(settings.path), tag=str(ready.tag), ranks=len(ready.shards))


def source_of(tree: Path) -> str:
    """Return how the claims of all merges of `tree` begin."""
    return f"tree:{tree}:"


def _tracker(settings: WatchSettings) -> TreeTracker:
    return TreeTracker(
        settings.path,
        tag=settings.tag,
        prefix=settings.prefix,
        ranks=settings.ranks,
        needs_strategy=settings.needs_strategy,
    )


def _follow(tracker: TreeTracker, hints: Sequence[tuple[Path, bool]]) -> Ready | None:
    for path, closed in hints:
        if closed:
            tracker.closed(path)
        else:
            tracker.noticed(path)
    return tracker.ready()


def _claim(tree: Path, ready: Ready) -> str:
    """Name these very shards: another run's of the same tag are others."""
    digest = hashlib.sha256()
    for shard, read in zip(ready.shards, ready.fingerprints, strict=True):
        digest.update(f"{shard.path}:{read.size}:{read.mtime_ns}:{read.inode}\n".encode())
    return f"{source_of(tree)}{ready.prefix}:{ready.tag}:{digest.hexdigest()[:16]}"
