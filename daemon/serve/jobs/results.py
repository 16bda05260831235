"""What jobs that are over came to: read in their records and kept in the store, one job after the other.

What is not kept yet is found by looking. So nothing is lost by a crash, and the jobs of an older glmd get theirs, too.
It is never urgent: nothing is decided by it.
"""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import structlog
from pydantic import ValidationError

from daemon.core.may_pass import may_pass
from daemon.core.results import Result
from daemon.core.root import Root
from daemon.core.states import Job
from daemon.core.store import Store
from daemon.core.vanished import refuse_absent_jobs
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Lane, Workers
from handlers.ckpt import CkptError
from handlers.ckpt.publishing.manifest import NAME as MANIFEST
from handlers.ckpt.publishing.manifest_outline import read_outline
from handlers.host.reach import reach
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import StepExit
from handlers.shards.names import size_of_shards
from handlers.training_record.training import finite, training_in

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PAUSE = 0.25
"""Seconds between two jobs, so that ten thousand old ones take an hour and disturb nobody."""
AWAY = 60.0
"""Seconds after which what could not be read is looked at again; then after twice as long, and so on."""
LOOKS = 5
"""At a job's directory that is not there: it may come back, or was deleted, as that of a job that is over may be."""
MOST_AWAY = 1000
"""Jobs that are waited for."""


@dataclass(frozen=True)
class _Away:
    looks: int
    due: float
    """When to look again, on the monotonic clock."""


class Results:
    """Measures what jobs came to. For the loop's thread; the records are read apart."""

    def __init__(self, root: Root, store: Store, workers: Workers, faults: Faults) -> None:
        self._root = root
        self._store = store
        self._workers = workers
        self._faults = faults
        self._away: dict[int, _Away] = {}
        """Jobs that could not be measured yet."""
        self._is_at_work = False
        self._due = 0.0
        self._seen: int | None = None
        """`Store.changes` when there was nothing to do but to wait; None where there may be more."""

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, there is something to do; None where nothing is known of."""
        if self._is_at_work:
            return None
        if self._seen is None:
            return max(now, self._due)
        return min((max(away.due, self._due) for away in self._away.values()), default=None)

    def turn(self, now: float) -> None:
        """Have the newest job measured of which no result is kept, unless one is measured now."""
        if self._is_at_work or now < self._due:
            return
        waiting = {job for job, away in self._away.items() if now < away.due}
        if self._seen == self._store.changes and len(waiting) == len(self._away):
            return
        number = self._store.unmeasured(waiting) if len(waiting) < MOST_AWAY else None
        self._seen = self._store.changes if number is None else None
        if number is None:
            self._away = {job: self._away[job] for job in waiting}
        elif job := self._store.readable(number):
            self._is_at_work = True
            work = partial(measured, job.directory(self._root.path), self._root)
            self._workers.submit_apart(Lane.RESULTS, "results", work, partial(self._take, job))
        else:  # its row says nothing, until somebody fixes it
            self._wait_for(number, now)

    def _take(self, job: Job, result: Future[Result]) -> None:
        self._is_at_work = False
        now = time.monotonic()
        self._due = now + PAUSE
        try:
            found = result.result()
        except OSError as error:
            if error.filename == str(self._root.jobs):  # all of them are away
                self._due = now + AWAY
                return
            looks = self._away[job.id].looks if job.id in self._away else 0
            if may_pass(error) or (isinstance(error, FileNotFoundError) and looks < LOOKS):
                self._wait_for(job.id, now)
                return
            log.warning("result_unknown", job=job.id, reason=str(error))
            found = Result()
        except Exception as error:  # noqa: BLE001 - logged, and the job is set aside, as one of which nothing is known
            self._faults.defect(f"result of job {job.id}", error, lambda _: self._store.keep_result(job, Result()))
            return
        self._away.pop(job.id, None)
        self._store.keep_result(job, found)

    def _wait_for(self, job: int, now: float) -> None:
        looks = self._away[job].looks if job in self._away else 0
        self._away[job] = _Away(looks + 1, now + AWAY * 2 ** min(looks, LOOKS))


def measured(directory: JobDir, root: Root) -> Result:
    """Return what a job came to that is over, of what there is in its directory. Raises OSError."""
    reach(directory.path)
    refuse_absent_jobs(root)
    directory.path.stat()
    training = training_in(directory.trainings())
    took = list(_seconds(directory))
    found = Result(
        final_loss=None if training is None else finite(training.final()),
        best_loss=None if training is None else finite(training.lowest),
        seconds=sum(took) if took else None,
        bytes=_merged(directory),
        shards=size_of_shards(directory.output) or None,
    )
    directory.path.stat()  # what was not found because it went away meanwhile is no result
    return found


def _seconds(directory: JobDir) -> Iterator[float]:
    """Yield how long each step of each attempt ran; a shim that was killed told no end, and is left out."""
    for attempt in directory.attempts():
        for step in Step:
            with contextlib.suppress(FileNotFoundError, ValidationError):
                record = StepExit.read(directory.step(attempt, step).exit)
                yield max(0.0, (record.ended - record.started).total_seconds())


def _merged(directory: JobDir) -> int | None:
    with contextlib.suppress(FileNotFoundError, CkptError):
        return sum(file.size for file in read_outline(directory.merged / MANIFEST).files)
    return None
