"""What clients ask for: ending a job, and repeating one."""

import contextlib
import signal
import sqlite3

import structlog
from pydantic import ValidationError

from daemon.core.control import RequestRefusedError
from daemon.core.error_codes import code_of
from daemon.core.life import life
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.core.setting_sections import Cancel
from daemon.core.states import ACTIVE, MOST_FORGOTTEN, STEP_OF, Job, State
from daemon.core.store import Store
from daemon.core.users import User
from daemon.serve.jobs.attempts import how_it_diverged
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.stuck_devices import refuse_while_stuck
from daemon.serve.jobs.taking_in import plan_of
from daemon.serve.loop.waiting import Waiting
from handlers.codes import Code
from handlers.events import job_log
from handlers.records.job_dir import JobDir, Step, StepDir
from handlers.records.step_exit import Outcome, StepExit
from handlers.shards.names import holds_shards

log: structlog.stdlib.BoundLogger = structlog.get_logger()


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
        self.refuse_strangers(job, by)
        if job.state.is_over:
            refuse_while_stuck(job, self._store, self._root)  # that says more than that it is over
            raise RequestRefusedError(f"job {job.id} is {job.state} already", Code.JOB_OVER)
        self.note("cancel_asked", job, by)
        try:
            if self._cancel(job, by.name):
                return f"job {job.id} is cancelled"
        except (OSError, sqlite3.Error) as error:
            if not may_pass(error):
                raise
            return self._cancel_unwritten(job, by.name, error)
        return f"job {job.id} is being cancelled: its {job.state} is ended first"

    def write_wishes(self) -> None:
        """Write down the wishes to cancel that could not be written. Raises OSError and sqlite3.Error."""
        for number, by in self._store.unwritten_wishes().items():
            self._cancel(self._store.job(number), by)

    def _cancel(self, job: Job, by: str) -> bool:
        """Let `job` be cancelled, or become so when its step has ended; say which. Raises OSError, sqlite3.Error."""
        if job.state is State.QUEUED:
            self._moves.move(job, State.CANCELLED, f"cancelled by {by} while it waited", Code.JOB_CANCELLED)
            return True
        self._store.ask_to_cancel(job, by)
        return False

    def _cancel_unwritten(self, job: Job, by: str, error: OSError | sqlite3.Error) -> str:
        """End `job`, which may be what fills the disk, though nothing can be written about it yet."""
        self._store.wish_to_cancel(job, by)
        if job.state is State.QUEUED:
            what = "does not start any more"
        else:
            what = f"is being cancelled: its {job.state} is ended first"
            if job.state in STEP_OF:
                # At once: the next turns may be held up by what keeps the store from being written.
                _, shim = life(job.directory(self._root.path).step(job.attempt, STEP_OF[job.state]))
                if shim is not None:
                    shim.signal(signal.SIGTERM)
        log.warning("cancel_unwritten", job=job.id, user=by, code=code_of(error), reason=str(error))
        return f"job {job.id} {what}; glmd cannot record this yet ({error}), and forgets it if it ends before"

    def retry(self, job: Job, by: User) -> str:
        """Queue `job` again from the step that did not succeed; raises RequestRefusedError."""
        self.refuse_strangers(job, by)
        if job.state not in {State.FAILED, State.CANCELLED}:
            reason = f"job {job.id} is {job.state}; only failed and cancelled jobs can be retried"
            raise RequestRefusedError(reason, Code.JOB_NOT_RETRYABLE)
        refuse_while_stuck(job, self._store, self._root)
        if any(pruning.ended is None for pruning in self._store.prunings_of(job)):
            reason = f"job {job.id} cannot be retried now: its files are being removed; ask again in a minute"
            raise RequestRefusedError(reason, Code.JOB_BEING_PRUNED)
        directory = job.directory(self._root.path)
        last = _last_attempt(job, directory)
        is_trained = self._is_trained(job, directory, last)
        if not is_trained and not directory.submitted.exists():
            reason = f"{directory.path} has nothing to run any more; drop the file again"
            raise RequestRefusedError(reason, Code.JOB_NOTHING_TO_RUN)
        self.note("retry_asked", job, by)
        if is_trained:
            self._moves.move(job, State.MERGING, f"retried by {by.name}: merging again", attempt=last + 1)
            return f"job {job.id} merges again, as attempt {last + 1}"
        self._moves.move(job, State.QUEUED, f"retried by {by.name}", attempt=last + 1)
        return f"job {job.id} is queued again, as attempt {last + 1}"

    def refuse_strangers(self, job: Job | None, by: User) -> None:
        """Raise RequestRefusedError where the settings leave a job to the user who dropped it, and that is not `by`.

        None is for what is no job's, and so nobody's.
        """
        if self.allowed is Cancel.GROUP or by.number in {0, User.of_this_process().number}:
            return
        if job is None:
            reason = f"no job of {by.name}'s made this, and glmd's settings say `cancel: owner`; ask an administrator"
            raise RequestRefusedError(reason, Code.JOB_NOT_YOURS)
        owner = self._store.owner_of(job)
        if owner != by:
            whose = f"{owner.name} dropped it" if owner else "nobody knows who dropped it"
            raise RequestRefusedError(
                f"job {job.id} is not {by.name}'s: {whose}, and glmd's settings say `cancel: owner`; ask "
                f"{f'{owner.name} or ' if owner else ''}an administrator",
                Code.JOB_NOT_YOURS,
            )

    def note(self, event: str, job: Job, by: User) -> None:
        """Write into the job's log who asked."""
        log = job_log(job.directory(self._root.path).events, job=job.id, attempt=job.attempt)
        log.info(event, user=by.name, uid=by.number)

    def _is_trained(self, job: Job, directory: JobDir, last: int) -> bool:
        """Say whether only the merge is to be done: after a training that is over, or of a tree. Raises OSError."""
        if not directory.submitted.exists():
            plan = plan_of(directory)
            is_sound = how_it_diverged(directory, last) is None
            return plan is not None and (plan.train is None or (is_sound and _has_saves(directory, last)))
        done = [step.state for step in self._store.history(job.id) if step.state in ACTIVE]
        is_behind = done[-1:] in ([State.MERGING], [State.EVALUATING])
        is_over = is_behind or _came_to_its_end(directory.step(last, Step.TRAIN))
        return is_over and _has_saves(directory, last)


def _last_attempt(job: Job, directory: JobDir) -> int:
    """Return the number of the last attempt that was begun: an older store, put back, may not know of it."""
    return max(number for number in (job.attempt, *directory.attempts()) if number - job.attempt < MOST_FORGOTTEN)


def _came_to_its_end(train: StepDir) -> bool:
    """Say whether a training completed, though the store does not know: its directory was away then."""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        return StepExit.read(train.exit).outcome is Outcome.COMPLETED
    return False


def _has_saves(directory: JobDir, last: int) -> bool:
    """Say whether anything is there to merge: to merge nothing again and again would fail for ever."""
    earlier = (directory.earlier_output(attempt) for attempt in range(last, 0, -1))
    return any(map(holds_shards, (directory.output, *earlier)))
