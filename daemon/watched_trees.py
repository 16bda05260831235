"""Output trees of runs that glmd did not start: when their shards are complete, a job merges them."""

import hashlib
import math
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from daemon.intake import job_name
from daemon.root import Root
from daemon.settings import WatchSettings
from daemon.states import State
from daemon.store import NewJob, Store
from daemon.workers import Workers
from handlers.ckpt.durable import make_directory
from handlers.ckpt.errors import CkptError
from handlers.errors import HandlerError
from handlers.job_plan import JobPlan, MergePlan
from handlers.shards import LAST, QUIET, NotReady, Readiness, Ready, Verdicts, readiness

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass
class _Tree:
    settings: WatchSettings
    verdicts: Verdicts = field(default_factory=Verdicts)
    look_at: float | None = 0.0
    """When to look, on the monotonic clock; None when nothing has changed since the last look."""
    noticed: float = -math.inf
    """When something last changed, on the monotonic clock."""
    is_looked_at: bool = False
    """By a worker, at this moment: what is noticed meanwhile is looked at when it has ended."""
    said: str = ""


class WatchedTrees:
    """All trees of the setting `watch:`."""

    def __init__(self, settings: Iterable[WatchSettings], root: Root, store: Store, workers: Workers) -> None:
        self._trees = {one.path: _Tree(one) for one in settings}
        self._root = root
        self._store = store
        self._workers = workers

    @property
    def directories(self) -> tuple[Path, ...]:
        """What to watch, each with all below it."""
        return tuple(self._trees)

    def notice(self, path: Path, now: float) -> None:
        """Take a hint that something changed at `path`."""
        for directory, tree in self._trees.items():
            if path.is_relative_to(directory):
                tree.look_at = tree.noticed = now

    def look_at_all(self, now: float) -> None:
        """Look at every tree, whatever was noticed."""
        for tree in self._trees.values():
            tree.look_at = now

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds `turn` has something to do; None when it has nothing."""
        waiting = (t.look_at for t in self._trees.values() if t.look_at is not None and not t.is_looked_at)
        return min((max(0.0, look_at - now) for look_at in waiting), default=None)

    def turn(self, now: float) -> None:
        """Look at the trees that are due, in worker threads."""
        for tree in self._trees.values():
            if tree.look_at is not None and tree.look_at <= now and not tree.is_looked_at:
                tree.look_at, tree.is_looked_at = None, True
                self._workers.submit(("tree", tree.settings.path), partial(_look, tree), partial(self._looked, tree))

    def _looked(self, tree: _Tree, look: Future[Readiness]) -> None:
        tree.is_looked_at = False
        try:
            seen = look.result()
        except (HandlerError, CkptError, OSError) as error:
            seen = NotReady(str(error))
        if isinstance(seen, NotReady):
            self._say(tree, seen.reason)
            if tree.look_at is None and time.monotonic() - tree.noticed < QUIET:
                # What may still be open is at rest by then.
                tree.look_at = tree.noticed + QUIET + 1
            return
        rest = tree.settings.quiet - _age(seen)
        if tree.settings.tag == LAST and rest > 0:  # a newer tag may be on its way
            tree.look_at = time.monotonic() + rest
        else:
            self._merge(tree, seen)

    def _say(self, tree: _Tree, reason: str) -> None:
        if reason != tree.said:
            tree.said = reason
            log.info("tree_not_ready", path=str(tree.settings.path), reason=reason)

    def _merge(self, tree: _Tree, ready: Ready) -> None:
        """Queue a merge of what is ready, unless these very shards have had one."""
        settings = tree.settings
        new = NewJob(claim=_claim(settings.path, ready), name=job_name(settings.path.name), prefix=ready.prefix)
        job = self._store.add(new)
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
                destination=directory.merged,
                latest=self._root.latest / ready.prefix,
            ),
        )
        plan.publish(directory.plan)
        log.info("tree_ready", job=job.id, path=str(settings.path), tag=str(ready.tag), ranks=len(ready.shards))


def _look(tree: _Tree) -> Readiness:
    settings = tree.settings
    tree.verdicts.forget_missing()
    return readiness(
        settings.path,
        tree.verdicts,
        tag=settings.tag,
        prefix=settings.prefix,
        ranks=settings.ranks,
        needs_strategy=settings.needs_strategy,
    )


def _age(ready: Ready) -> float:
    """Return for how many seconds no shard of the tag has changed."""
    return time.time() - max(shard.path.stat().st_mtime for shard in ready.shards)


def _claim(tree: Path, ready: Ready) -> str:
    """Name these very shards: another run's of the same tag are others."""
    digest = hashlib.sha256()
    for shard in ready.shards:
        status = shard.path.stat()
        digest.update(f"{shard.path}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}\n".encode())
    return f"tree:{tree}:{ready.prefix}:{ready.tag}:{digest.hexdigest()[:16]}"
