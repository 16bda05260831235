"""The way of a job through its states.

`turn` looks at every job that is not over and takes the next step that its records allow. It keeps nothing that a
restart would need: a new daemon's first turn adopts the shims that run, reads the exits of those that ended, and
repeats what was not finished.
"""

import contextlib
import os
import signal
import time
from concurrent.futures import Future
from functools import partial

import structlog

from daemon.aftermath import follow_up
from daemon.control import RequestRefusedError
from daemon.endings import Cancelled, Completed, died, ended, host_went_down
from daemon.faults import Faults, may_pass
from daemon.left_behind import free_devices, left_behind, refuse_while_stuck
from daemon.preflights import Go, Preflights, Refuse, Verdict, Wait
from daemon.preparing import prepare
from daemon.queueing import startable
from daemon.root import Root
from daemon.runner import Life, Runner, RunnerError, forestall, life
from daemon.settings import Preflight, Settings
from daemon.states import ACTIVE, HOLDING_DEVICES, Job, State
from daemon.store import DeviceTakenError, Store
from daemon.waiting import Waiting
from daemon.workers import Workers
from handlers.errors import HandlerError
from handlers.events import job_log
from handlers.job_dir import Step, StepDir
from handlers.job_plan import JobPlan
from handlers.process import ProcessIdentity
from handlers.resume import Decision, Ending, Failure, Resume, Trained

log: structlog.stdlib.BoundLogger = structlog.get_logger()

STEP_OF = {State.TRAINING: Step.TRAIN, State.MERGING: Step.MERGE}
START_ALLOWANCE = 60.0
"""Seconds that a shim may take to write shim.json."""

DEATH_ALLOWANCE = 2.0
"""Seconds in which the cause of a shim's death may still become known."""


class Pipeline:
    """Moves jobs on. Everything but the work handed to `workers` happens in the loop's thread."""

    def __init__(
        self,
        settings: Settings,
        root: Root,
        store: Store,
        runner: Runner,
        waiting: Waiting,
        workers: Workers,
        faults: Faults,
    ) -> None:
        self.settings = settings
        self._root = root
        self._store = store
        self._runner = runner
        self._waiting = waiting
        self._workers = workers
        self._faults = faults
        self._preflights = Preflights(root, workers)
        self._started: dict[tuple[int, int, Step], float] = {}
        self._deaths: dict[tuple[int, int, Step], float] = {}
        self._watched: dict[int, tuple[ProcessIdentity, int]] = {}

    def turn(self) -> None:
        """Take every step that can be taken now."""
        self._faults.attempt("devices of jobs that are over", partial(free_devices, self._store, self._root))
        self._start_waiting_jobs()
        for job in self._store.jobs(ACTIVE):
            if job.state is not State.PREPARING:
                self._faults.attempt(f"job {job.id}", partial(self._follow, job, STEP_OF[job.state]))
            elif not self._faults.is_paused(f"preparing job {job.id}"):
                self._workers.submit(
                    ("prepare", job.id, job.attempt),
                    partial(prepare, job, self.settings, self._root),
                    partial(self._prepared, job),
                )

    def close(self) -> None:
        """Let go of all shims; they go on."""
        for job in tuple(self._watched):
            self._unwatch(job)

    @property
    def is_waiting_for_a_shim(self) -> bool:
        """Whether one was started and has not said who it is, or died and it is not known of what: turn again soon."""
        return bool(self._started or self._deaths)

    def next_due(self) -> float | None:
        """Return when, on the monotonic clock, a waiting job is to be looked at again; None when none is."""
        return self._preflights.next_due()

    # What clients ask for

    def cancel(self, job: Job) -> str:
        """End `job` and return what happens; raises RequestRefusedError when it is over already."""
        refuse_while_stuck(job, self._store, self._root)
        if job.state.is_over:
            raise RequestRefusedError(f"job {job.id} is {job.state} already")
        if job.state is State.QUEUED:
            self._move(job, State.CANCELLED, "cancelled while it waited")
            return f"job {job.id} is cancelled"
        self._store.ask_to_cancel(job)
        return f"job {job.id} is being cancelled: its {job.state} is ended first"

    def retry(self, job: Job) -> str:
        """Queue `job` again from the step that did not succeed; raises RequestRefusedError."""
        if job.state not in {State.FAILED, State.CANCELLED}:
            raise RequestRefusedError(f"job {job.id} is {job.state}; only failed and cancelled jobs can be retried")
        refuse_while_stuck(job, self._store, self._root)
        directory = job.directory(self._root.path)
        if not directory.submitted.exists() or self._trained(job):
            self._move(job, State.MERGING, "retried: merging again", attempt=job.attempt + 1)
            return f"job {job.id} merges again, as attempt {job.attempt + 1}"
        self._move(job, State.QUEUED, "retried", attempt=job.attempt + 1)
        return f"job {job.id} is queued again, as attempt {job.attempt + 1}"

    def _trained(self, job: Job) -> bool:
        """Say whether the training of `job` is over: what was done last was to merge."""
        done = [step.state for step in self._store.history(job.id) if step.state in ACTIVE]
        return done[-1:] == [State.MERGING]

    # The steps

    def _start_waiting_jobs(self) -> None:
        jobs = tuple(startable(self._store.next_in_queue(), self._store.locks()))
        self._preflights.keep({job.id for job in jobs})
        for job in jobs:
            self._faults.attempt(f"job {job.id}", partial(self._start_waiting, job))

    def _start_waiting(self, job: Job) -> None:
        directory = job.directory(self._root.path)
        if directory.submitted.exists() and self.settings.preflight is Preflight.OFF:
            self._move(job, State.PREPARING)
        elif directory.submitted.exists():
            self._preflights.look(job, self.settings, partial(self._looked, job))
        elif directory.plan.exists():
            self._move(job, State.MERGING)
        # else the directory is still being filled by whoever added the job

    def _looked(self, job: Job, verdict: Verdict) -> None:
        if self._store.job(job.id).state is not State.QUEUED:
            return
        match verdict:
            case Go():
                with contextlib.suppress(DeviceTakenError):  # by a job that came to the front meanwhile
                    self._move(job, State.PREPARING)
            case Wait(reason):
                self._store.explain(job, reason)
            case Refuse(reason):
                self._move(job, State.FAILED, reason)

    def _prepared(self, job: Job, plan: Future[JobPlan]) -> None:
        if self._store.job(job.id).cancel:  # asked meanwhile
            self._move(job, State.CANCELLED, "cancelled before its ranks were started")
            return
        try:
            plan.result()
        except (HandlerError, OSError) as error:
            if may_pass(error):  # the job keeps its devices; a later turn prepares it again
                self._faults.failed(f"preparing job {job.id}", error)
                return
            self._move(job, State.FAILED, str(error))
        except Exception as error:
            log.exception("prepare_broke", job=job.id)
            self._move(job, State.FAILED, f"a defect in glmd: {type(error).__name__}: {error}; see the daemon's log")
        else:
            self._faults.passed(f"preparing job {job.id}")
            self._move(job, State.TRAINING)

    def _follow(self, job: Job, step: Step) -> None:
        """Start the shim of `step`, or wait for its end, or act on how it ended."""
        now, (status, identity) = time.monotonic(), life(job.directory(self._root.path).step(job.attempt, step))
        key = (job.id, job.attempt, step)
        if status is Life.NONE:
            if job.cancel and key not in self._started:
                self._move(job, State.CANCELLED, f"cancelled before {step} was started")
            elif key in self._started:
                if now - self._started[key] > START_ALLOWANCE:
                    self._give_up(job, key, f"the shim of {step} did not come up in {START_ALLOWANCE:g} s")
            elif not self._faults.is_paused(f"starting job {job.id}"):
                self._started[key] = now
                self._workers.submit(
                    ("start", *key),
                    partial(self._runner.start, job, step, self._root.path),
                    partial(self._was_started, job, key),
                )
            return
        self._started.pop(key, None)
        self._faults.passed(f"starting job {job.id}")
        if status is Life.RUNNING and identity is not None:
            self._watch(job, step, identity)
            if job.cancel:
                identity.signal(signal.SIGTERM)  # again with every turn, which does no harm
            return
        self._unwatch(job.id)
        self._ended(job, step, status)

    def _was_started(self, job: Job, key: tuple[int, int, Step], started: Future[None]) -> None:
        try:
            started.result()
        except RunnerError as error:
            if isinstance(error.__cause__, OSError) and may_pass(error.__cause__):  # no process was made
                self._faults.failed(f"starting job {job.id}", error.__cause__)
                self._started.pop(key, None)
                return
            self._faults.attempt(f"giving up job {job.id}", partial(self._give_up, job, key, str(error)))

    def _give_up(self, job: Job, key: tuple[int, int, Step], reason: str) -> None:
        """Let no shim of this step come up any more; the next turn reads the exit that says so."""
        if forestall(job.directory(self._root.path).step(job.attempt, key[2]), key[2], reason):
            self._waiting.wake()

    def _ended(self, job: Job, step: Step, status: Life) -> None:
        directory = job.directory(self._root.path).step(job.attempt, step)
        if status is Life.DIED:
            end: Completed | Cancelled | Failure | None = self._death(job, step, directory)
        else:
            end = ended(directory, step, cancel=job.cancel)
        match end:
            case Completed(reason):
                self._move(job, State.MERGING if step is Step.TRAIN else State.DONE, reason)
            case Cancelled(reason):
                self._move(job, State.CANCELLED, reason)
            case Failure():
                self._failed(job, step, end)
            case None:  # not yet known, and looked at again soon
                pass

    def _failed(self, job: Job, step: Step, failure: Failure) -> None:
        """Act on a step that did not come to its end."""
        lost = failure.ending is Ending.LOST
        if job.cancel:
            self._move(job, State.CANCELLED if lost else State.FAILED, failure.reason)
        elif step is Step.TRAIN and not self._faults.is_paused(f"following up job {job.id}"):
            self._workers.submit(
                ("follow up", job.id, job.attempt),
                partial(follow_up, job, failure, self.settings, self._root),
                partial(self._followed_up, job, failure),
            )
        elif step is Step.MERGE and lost:
            self._move(job, State.MERGING, f"merges again after: {failure.reason}", attempt=job.attempt + 1)
        elif step is Step.MERGE:
            self._move(job, State.FAILED, failure.reason)

    def _followed_up(self, job: Job, failure: Failure, decided: Future[Decision | None]) -> None:
        if self._store.job(job.id).cancel:  # asked meanwhile
            self._move(job, State.CANCELLED, f"cancelled after: {failure.reason}")
            return
        try:
            decision = decided.result()
        except Exception as error:
            if may_pass(error):
                self._faults.failed(f"following up job {job.id}", error)
                return
            log.exception("follow_up_broke", job=job.id)
            self._move(job, State.FAILED, f"{failure.reason}; not tried again: {type(error).__name__}: {error}")
            return
        self._faults.passed(f"following up job {job.id}")
        if isinstance(decision, Resume):
            self._move(job, State.TRAINING, decision.reason, attempt=job.attempt + 1)
        elif isinstance(decision, Trained):
            self._move(job, State.MERGING, decision.reason)
        elif decision is not None:
            self._move(job, State.FAILED, decision.reason)

    def _death(self, job: Job, step: Step, directory: StepDir) -> Failure | None:
        """Return how a shim died; None while that may still become known."""
        key, now, lost = (job.id, job.attempt, step), time.monotonic(), host_went_down(directory)
        cause = self._runner.cause_of_death(directory)
        if cause is None and not lost and now - self._deaths.setdefault(key, now) < DEATH_ALLOWANCE:
            return None
        self._deaths.pop(key, None)
        return died(step, cause, lost=lost)

    # Small parts

    def _move(self, job: Job, state: State, reason: str = "", *, attempt: int | None = None) -> None:
        is_stuck = job.state in HOLDING_DEVICES - {state} and bool(left_behind(job, self._root))
        moved = self._store.move(job, state, reason, attempt=attempt, keep_devices=is_stuck)
        self._waiting.wake()  # the next turn is due at once: this job or one that waited for its devices can go on
        log = job_log(job.directory(self._root.path).events, job=job.id, attempt=moved.attempt)
        log.info("job_moved", state=str(state), was=str(job.state), reason=reason)

    def _watch(self, job: Job, step: Step, identity: ProcessIdentity) -> None:
        if job.id in self._watched:
            return
        descriptor = identity.pidfd()
        if descriptor is None:
            self._waiting.wake()  # it has ended just now, and the next turn sees how
            return
        self._watched[job.id] = (identity, descriptor)
        # The loop turns after every wait, so that waking up is all that is to be done.
        self._waiting.watch(descriptor, partial(self._unwatch, job.id))
        job_log(job.directory(self._root.path).events, job=job.id, attempt=job.attempt).info(
            "shim_watched", step=str(step), pid=identity.pid
        )

    def _unwatch(self, job: int) -> None:
        if job in self._watched:
            _, descriptor = self._watched.pop(job)
            self._waiting.unwatch(descriptor)
            os.close(descriptor)
