"""What clients ask for: ending a job, and repeating one."""

from daemon.control import RequestRefusedError
from daemon.left_behind import refuse_while_stuck
from daemon.moving import Moves
from daemon.root import Root
from daemon.settings import Cancel
from daemon.states import ACTIVE, Job, State
from daemon.store import Store
from daemon.users import User
from daemon.waiting import Waiting
from handlers.events import job_log
from handlers.shards.names import holds_shards


class Requests:
    """Does what is asked for at once, or notes it for the pipeline; the answers are for people."""

    def __init__(self, root: Root, store: Store, waiting: Waiting) -> None:
        self._root = root
        self._store = store
        self._moves = Moves(root, store, waiting)
        self.allowed = Cancel.GROUP
        """Who may end and repeat a job."""

    def cancel(self, job: Job, by: User) -> str:
        """End `job` and return what happens; raises RequestRefusedError when it is over, or `by` may not."""
        self._refuse_strangers(job, by)
        if job.state.is_over:
            refuse_while_stuck(job, self._store, self._root)  # that says more than that it is over
            raise RequestRefusedError(f"job {job.id} is {job.state} already")
        if job.state is State.QUEUED:
            self._note("cancel_asked", job, by)
            self._moves.move(job, State.CANCELLED, f"cancelled by {by.name} while it waited")
            return f"job {job.id} is cancelled"
        self._store.ask_to_cancel(job, by.name)
        self._note("cancel_asked", job, by)
        return f"job {job.id} is being cancelled: its {job.state} is ended first"

    def retry(self, job: Job, by: User) -> str:
        """Queue `job` again from the step that did not succeed; raises RequestRefusedError."""
        self._refuse_strangers(job, by)
        if job.state not in {State.FAILED, State.CANCELLED}:
            raise RequestRefusedError(f"job {job.id} is {job.state}; only failed and cancelled jobs can be retried")
        refuse_while_stuck(job, self._store, self._root)
        directory = job.directory(self._root.path)
        if not directory.submitted.exists() and not directory.plan.exists():
            raise RequestRefusedError(f"{directory.path} has nothing to run any more; drop the file again")
        self._note("retry_asked", job, by)
        if not directory.submitted.exists() or self._trained(job):
            self._moves.move(job, State.MERGING, f"retried by {by.name}: merging again", attempt=job.attempt + 1)
            return f"job {job.id} merges again, as attempt {job.attempt + 1}"
        self._moves.move(job, State.QUEUED, f"retried by {by.name}", attempt=job.attempt + 1)
        return f"job {job.id} is queued again, as attempt {job.attempt + 1}"

    def _refuse_strangers(self, job: Job, by: User) -> None:
        """Raise RequestRefusedError where the settings leave a job to whoever dropped it, and that is not `by`."""
        if self.allowed is Cancel.GROUP or by.number in {0, User.of_this_process().number}:
            return
        owner = self._store.owner_of(job)
        if owner != by:
            whose = f"{owner.name} dropped it" if owner else "nobody knows who dropped it"
            raise RequestRefusedError(
                f"job {job.id} is not {by.name}'s: {whose}, and glmd's settings say `cancel: owner`; ask "
                f"{f'{owner.name} or ' if owner else ''}an administrator"
            )

    def _note(self, event: str, job: Job, by: User) -> None:
        """Write into the job's log who asked."""
        log = job_log(job.directory(self._root.path).events, job=job.id, attempt=job.attempt)
        log.info(event, user=by.name, uid=by.number)

    def _trained(self, job: Job) -> bool:
        """Say whether the training of `job` is over: what was done last was to merge what it saved. Raises OSError."""
        done = [step.state for step in self._store.history(job.id) if step.state in ACTIVE]
        return done[-1:] == [State.MERGING] and self._has_saves(job)

    def _has_saves(self, job: Job) -> bool:
        """Say whether anything is there to merge: to merge nothing again and again would fail for ever."""
        directory = job.directory(self._root.path)
        earlier = (directory.earlier_output(attempt) for attempt in range(job.attempt, 0, -1))
        return any(map(holds_shards, (directory.output, *earlier)))
