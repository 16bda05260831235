"""What clients ask for: ending a job, and repeating one."""

from daemon.control import RequestRefusedError
from daemon.left_behind import refuse_while_stuck
from daemon.moving import Moves
from daemon.root import Root
from daemon.states import ACTIVE, Job, State
from daemon.store import Store
from daemon.waiting import Waiting
from handlers.shards.names import holds_shards


class Requests:
    """Does what is asked for at once, or notes it for the pipeline; the answers are for people."""

    def __init__(self, root: Root, store: Store, waiting: Waiting) -> None:
        self._root = root
        self._store = store
        self._moves = Moves(root, store, waiting)

    def cancel(self, job: Job) -> str:
        """End `job` and return what happens; raises RequestRefusedError when it is over already."""
        if job.state.is_over:
            refuse_while_stuck(job, self._store, self._root)  # that says more than that it is over
            raise RequestRefusedError(f"job {job.id} is {job.state} already")
        if job.state is State.QUEUED:
            self._moves.move(job, State.CANCELLED, "cancelled while it waited")
            return f"job {job.id} is cancelled"
        self._store.ask_to_cancel(job)
        return f"job {job.id} is being cancelled: its {job.state} is ended first"

    def retry(self, job: Job) -> str:
        """Queue `job` again from the step that did not succeed; raises RequestRefusedError."""
        if job.state not in {State.FAILED, State.CANCELLED}:
            raise RequestRefusedError(f"job {job.id} is {job.state}; only failed and cancelled jobs can be retried")
        refuse_while_stuck(job, self._store, self._root)
        directory = job.directory(self._root.path)
        if not directory.submitted.exists() and not directory.plan.exists():
            raise RequestRefusedError(f"{directory.path} has nothing to run any more; drop the file again")
        if not directory.submitted.exists() or self._trained(job):
            self._moves.move(job, State.MERGING, "retried: merging again", attempt=job.attempt + 1)
            return f"job {job.id} merges again, as attempt {job.attempt + 1}"
        self._moves.move(job, State.QUEUED, "retried", attempt=job.attempt + 1)
        return f"job {job.id} is queued again, as attempt {job.attempt + 1}"

    def _trained(self, job: Job) -> bool:
        """Say whether the training of `job` is over: what was done last was to merge what it saved. Raises OSError."""
        done = [step.state for step in self._store.history(job.id) if step.state in ACTIVE]
        return done[-1:] == [State.MERGING] and self._has_saves(job)

    def _has_saves(self, job: Job) -> bool:
        """Say whether anything is there to merge: to merge nothing again and again would fail for ever."""
        directory = job.directory(self._root.path)
        earlier = (directory.earlier_output(attempt) for attempt in range(job.attempt, 0, -1))
        return any(map(holds_shards, (directory.output, *earlier)))
