"""Work in jobs' directories: one writer a job at a time, and none for a job that has moved on."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from daemon.core.root import Root
from daemon.core.states import Job
from daemon.core.store import Store
from daemon.core.vanished import refuse_absent_jobs
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Lane, Workers

Result = TypeVar("Result")


class Writers:
    """Hands out the work, and takes its results. For the loop's thread."""

    def __init__(self, root: Root, store: Store, workers: Workers, faults: Faults, set_aside: SetAside) -> None:
        self._root = root
        self._store = store
        self._workers = workers
        self._faults = faults
        self._set_aside = set_aside
        self._writing: dict[int, Job] = {}
        """The jobs in whose directories somebody may be writing, as they were when that began."""

    def submit(
        self, job: Job, what: str, work: Callable[[], Result], then: Callable[[Future[Result]], None]
    ) -> None:  # fmt: skip
        """Have `work` done for `job` in a process apart, unless somebody is at it, or `what` failed a moment ago.

        What it tells meanwhile is why the job is where it is.
        """
        if not self._faults.is_paused(what):
            on_report = partial(self._explain, job, what)
            self._workers.submit_apart(Lane.JOBS, job.writer, work, self.still(job, what, then), on_report)

    def _explain(self, job: Job, what: str, reason: object) -> None:
        self._faults.contain(what, partial(self._store.explain, job, str(reason)))

    def stop_late(self) -> None:
        """End work for jobs that have been cancelled or retried meanwhile, before the next one writes there."""
        for job in tuple(self._writing.values()):
            now = self._store.readable(job.id)
            if now is None or now.cancel or (now.state, now.attempt) != (job.state, job.attempt):
                del self._writing[job.id]
                self._workers.stop(job.writer)

    def still(self, job: Job, what: str, then: Callable[[Result], None]) -> Callable[[Result], None]:
        """Return `then` for a result that counts only while `job` is where it was when the work for it was begun.

        It may have been cancelled meanwhile, perhaps retried. An OSError holds up no others: the result is got again.
        """
        self._writing[job.id] = job

        def take(result: Result) -> None:
            now = self._store.readable(job.id)
            if now is not None and (now.state, now.attempt) == (job.state, job.attempt):
                refuse_absent_jobs(self._root)  # what could not be found then is not gone
                then(result)

        def contained(result: Result) -> None:
            self._writing.pop(job.id, None)
            self._faults.contain(what, partial(take, result), partial(self._set_aside, job))

        return contained
