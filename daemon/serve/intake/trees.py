"""Trees that others write shards into: merged when complete, once for the same shards."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog

from daemon.core.names import claims_of, job_name
from daemon.core.root import Root
from daemon.core.setting_sections import Observer, WatchSettings
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from daemon.serve.intake.source import Moment
from daemon.serve.intake.tree_follower import follow
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Lane, Workers
from handlers.ckpt.files.durable import make_directory
from handlers.codes import Code
from handlers.records.job_dir import JobDir
from handlers.records.job_plan import JobPlan
from handlers.records.merge_plan import MergePlan
from handlers.shards.readiness import NotReady, Ready

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(eq=False)
class _Tree:
    settings: WatchSettings
    ready: Ready | None = None
    """What is to become a job."""
    last_reason: str = ""
    """Why it is not ready, as it was logged last."""

    @property
    def fault(self) -> str:
        return f"tree {self.settings.path}"


class WatchedTrees:
    """All trees of the setting `watch:`, each followed by a process apart, which tells when it is complete."""

    name = "trees"

    def __init__(
        self,
        settings: Iterable[WatchSettings],
        root: Root,
        store: Store,
        workers: Workers,
        faults: Faults,
        *,
        observer: Observer = Observer.AUTO,
        rescan: float = 60.0,
    ) -> None:
        self._trees = tuple(_Tree(one) for one in settings)
        self._root = root
        self._store = store
        self._workers = workers
        self._faults = faults
        self._observer = observer
        self._rescan = rescan

    def turn(self, now: Moment) -> None:
        """See that each tree is followed, and make jobs of those that are complete."""
        del now
        for tree in self._trees:
            if tree.ready is not None:
                self._faults.attempt(f"merge of {tree.fault}", partial(self._merge, tree, tree.ready))
            if not self._faults.is_paused(tree.fault):
                self._workers.submit_apart(
                    Lane.TREES,
                    self._key(tree),
                    partial(follow, tree.settings, self._observer, self._rescan),
                    partial(self._ended, tree),
                    partial(self._reported, tree),
                )

    def next_due(self, now: Moment) -> float | None:
        """Return None: anyone who follows a tree wakes the loop."""
        del now
        return None

    def close(self) -> None:
        """Follow none of them any more."""
        for tree in self._trees:
            self._workers.stop(self._key(tree))

    def _key(self, tree: _Tree) -> tuple[object, ...]:
        return "tree", self, tree.settings.path  # after a reload, those of before may not have ended yet

    def _reported(self, tree: _Tree, value: object) -> None:
        self._faults.passed(tree.fault)
        if isinstance(value, Ready):
            tree.ready = value
        elif isinstance(value, NotReady):
            self._say(tree, value.reason)

    def _ended(self, tree: _Tree, end: Future[None]) -> None:
        error = end.exception()
        if isinstance(error, OSError):
            self._faults.failed(tree.fault, error)
        elif isinstance(error, Exception):
            self._faults.defect(tree.fault, error)

    def _end_overtaken(self, path: Path, job: Job) -> None:
        """End what a crash has left without a plan, if by now its shards are no longer there to plan with."""
        for other in self._store.queued_with(claims_of(path)):
            if other.id != job.id and not other.directory(self._root.path).plan.exists():
                why = f"glmd was killed before it had planned this merge, and {path} holds other shards now"
                reason = f"{why}: see job {job.id}"
                self._store.move(other, State.FAILED, reason, Code.JOB_OVERTAKEN)
                log.warning("merge_overtaken", job=other.id, code=Code.JOB_OVERTAKEN, reason=reason)

    def _say(self, tree: _Tree, reason: str) -> None:
        if reason != tree.last_reason:
            tree.last_reason = reason
            log.info("tree_not_ready", path=str(tree.settings.path), reason=reason)

    def _merge(self, tree: _Tree, ready: Ready) -> None:
        """Queue a merge of what is ready, unless these very shards have had one."""
        settings = tree.settings
        name = job_name(settings.path.name)
        new = NewJob(_claim(settings.path, ready), name, prefix=ready.prefix, source=Source.TREE)
        job = self._store.add(new)
        self._end_overtaken(settings.path, job)
        directory = job.directory(self._root.path)
        if job.state is State.QUEUED and not directory.plan.exists():
            self._plan(job, directory, settings, ready)
        tree.ready = None

    def _plan(self, job: Job, directory: JobDir, settings: WatchSettings, ready: Ready) -> None:
        make_directory(directory.path)
        plan = JobPlan(
            glmd=version("glmd"),
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
                can_be_continued=True,
            ),
        )
        plan.publish(directory.plan)
        log.info("tree_ready", job=job.id, path=str(settings.path), tag=str(ready.tag), ranks=len(ready.shards))


def _claim(tree: Path, ready: Ready) -> str:
    """Name these very shards: another run's of the same tag are others."""
    digest = hashlib.sha256()
    for shard, read in zip(ready.shards, ready.fingerprints, strict=True):
        digest.update(f"{shard.path}:{read.size}:{read.mtime_ns}:{read.inode}\n".encode())
    return f"{claims_of(tree)}{ready.prefix}:{ready.tag}:{digest.hexdigest()[:16]}"
