"""Letting a job go from one state to the next, the one way that everybody in the daemon takes."""

from daemon.core.root import Root
from daemon.core.states import MAY_HOLD_DEVICES, Job, State
from daemon.core.store import Store
from daemon.core.temporaries import sweep_job
from daemon.serve.jobs.stuck_devices import surviving_pids
from daemon.serve.loop.waiting import Waiting
from handlers.events import job_log


class Moves:
    """Moves jobs in the store, tells their logs, and lets the loop turn for anyone who can go on now."""

    def __init__(self, root: Root, store: Store, waiting: Waiting) -> None:
        self._root = root
        self._store = store
        self._waiting = waiting

    def move(
        self,
        job: Job,
        state: State,
        reason: str = "",
        code: str = "",
        *,
        attempt: int | None = None,
    ) -> None:
        """Let `job` go to `state`; its devices stay locked while processes of it that cannot be ended are on them.

        `code` says the reason to programs, where that is an error's (handlers.codes).
        """
        is_stuck = job.state in MAY_HOLD_DEVICES - {state} and bool(surviving_pids(job, self._root))
        if state.is_over:  # a crash between the two is made good by the next start, to which the job is not over
            sweep_job(job.directory(self._root.path).path)
        moved = self._store.move(job, state, reason, code, attempt=attempt, keep_devices=is_stuck)
        self._waiting.wake()  # the next turn is due at once: this job or one that waited for its devices can go on
        log = job_log(job.directory(self._root.path).events, job=job.id, attempt=moved.attempt)
        log.info("job_moved", state=str(state), was=str(job.state), code=code, reason=reason)
