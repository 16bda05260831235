"""The way of a job through its states.

`turn` looks at every job that is not over and takes the next step that its records allow. It keeps nothing that a
restart would need: a new daemon's first turn adopts the shims that run, reads the exits of those that ended, and
repeats what was not finished.
"""

import os
import signal
import time
from concurrent.futures import Future
from functools import partial

import structlog
from pydantic import ValidationError

from daemon.control import RequestRefusedError
from daemon.preparing import prepare
from daemon.queueing import startable
from daemon.root import Root
from daemon.runner import Life, Runner, RunnerError, forestall, life
from daemon.settings import Settings
from daemon.states import ACTIVE, Job, State
from daemon.store import Store
from daemon.waiting import Waiting
from daemon.workers import Workers
from handlers.errors import HandlerError
from handlers.events import job_log
from handlers.job_dir import Step, StepDir
from handlers.job_plan import JobPlan
from handlers.outcome import Outcome, StepExit
from handlers.process import ProcessIdentity

log: structlog.stdlib.BoundLogger = structlog.get_logger()

STEP_OF = {State.TRAINING: Step.TRAIN, State.MERGING: Step.MERGE}
START_ALLOWANCE = 60.0
"""Seconds that a shim may take to write shim.json."""

DEATH_ALLOWANCE = 2.0
"""Seconds in which the cause of a shim's death may still become known."""


class Pipeline:
    """Moves jobs on. Everything but the work handed to `workers` happens in the loop's thread."""

    def __init__(
        self, settings: Settings, root: Root, store: Store, runner: Runner, waiting: Waiting, workers: Workers
    ) -> None:
        self.settings = settings
        self._root = root
        self._store = store
        self._runner = runner
        self._waiting = waiting
        self._workers = workers
        self._started: dict[tuple[int, int, Step], float] = {}
        self._deaths: dict[tuple[int, int, Step], float] = {}
        self._watched: dict[int, tuple[ProcessIdentity, int]] = {}

    def turn(self) -> None:
        """Take every step that can be taken now."""
        self._start_waiting_jobs()
        for job in self._store.jobs(ACTIVE):
            if job.state is State.PREPARING:
                self._workers.submit(
                    ("prepare", job.id, job.attempt),
                    partial(prepare, job, self.settings, self._root),
                    partial(self._prepared, job),
                )
            else:
                self._follow(job, STEP_OF[job.state])

    def close(self) -> None:
        """Let go of all shims; they go on."""
        for job in tuple(self._watched):
            self._unwatch(job)

    @property
    def is_waiting_for_a_shim(self) -> bool:
        """Whether one was started and has not said who it is, or died and it is not known of what: turn again soon."""
        return bool(self._started or self._deaths)

    # What clients ask for

    def cancel(self, job: Job) -> str:
        """End `job` and return what happens; raises RequestRefusedError when it is over already."""
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
        directory = job.directory(self._root.path)
        if not directory.submitted.exists() or self._trained(job):
            self._move(job, State.MERGING, "retried: merging again", attempt=job.attempt + 1)
            return f"job {job.id} merges again, as attempt {job.attempt + 1}"
        self._move(job, State.QUEUED, "retried", attempt=job.attempt + 1)
        return f"job {job.id} is queued again, as attempt {job.attempt + 1}"

    def _trained(self, job: Job) -> bool:
        directory = job.directory(self._root.path)
        for attempt in range(job.attempt, 0, -1):
            record = directory.step(attempt, Step.TRAIN).exit
            if record.exists():
                return StepExit.read(record).outcome is Outcome.COMPLETED
        return False

    # The steps

    def _start_waiting_jobs(self) -> None:
        for job in startable(self._store.queue(), self._store.locks()):
            directory = job.directory(self._root.path)
            if directory.submitted.exists():
                self._move(job, State.PREPARING)
            elif directory.plan.exists():
                self._move(job, State.MERGING)
            # else the directory is still being filled by whoever added the job

    def _prepared(self, job: Job, plan: Future[JobPlan]) -> None:
        if self._store.job(job.id).cancel:  # asked meanwhile
            self._move(job, State.CANCELLED, "cancelled before its ranks were started")
            return
        try:
            plan.result()
        except (HandlerError, OSError) as error:
            self._move(job, State.FAILED, str(error))
        except Exception as error:
            log.exception("prepare_broke", job=job.id)
            self._move(job, State.FAILED, f"a defect in glmd: {type(error).__name__}: {error}; see the daemon's log")
        else:
            self._move(job, State.TRAINING)

    def _follow(self, job: Job, step: Step) -> None:
        """Start the shim of `step`, or wait for its end, or act on how it ended."""
        now, (status, identity) = time.monotonic(), life(job.directory(self._root.path).step(job.attempt, step))
        key = (job.id, job.attempt, step)
        if status is Life.NONE:
            if job.cancel and key not in self._started:
                self._move(job, State.CANCELLED, f"cancelled before {step} was started")
            elif key not in self._started:
                self._started[key] = now
                self._workers.submit(
                    ("start", *key),
                    partial(self._runner.start, job, step, self._root.path),
                    partial(self._was_started, job, key),
                )
            elif now - self._started[key] > START_ALLOWANCE:
                self._give_up(job, key, f"the shim of {step} did not come up in {START_ALLOWANCE:g} s")
            return
        self._started.pop(key, None)
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
            self._give_up(job, key, str(error))

    def _give_up(self, job: Job, key: tuple[int, int, Step], reason: str) -> None:
        """Let no shim of this step come up any more; the next turn reads the exit that says so."""
        if forestall(job.directory(self._root.path).step(job.attempt, key[2]), key[2], reason):
            self._waiting.wake()

    def _ended(self, job: Job, step: Step, status: Life) -> None:
        directory = job.directory(self._root.path).step(job.attempt, step)
        if status is Life.DIED:
            self._died(job, step, directory)
            return
        try:
            ended = StepExit.read(directory.exit)
        except (OSError, ValidationError) as error:
            self._move(job, State.FAILED, f"{directory.exit} cannot be read: {error}")
            return
        if ended.outcome is Outcome.COMPLETED:
            self._move(job, State.MERGING if step is Step.TRAIN else State.DONE, ended.reason)
        elif ended.outcome is Outcome.CANCELLED and job.cancel:
            self._move(job, State.CANCELLED, ended.reason)
        elif ended.outcome is Outcome.CANCELLED:
            self._move(job, State.FAILED, f"{step} was {ended.reason}, and not by glmd cancel: did the host go down?")
        else:
            self._move(job, State.FAILED, ended.reason)

    def _died(self, job: Job, step: Step, directory: StepDir) -> None:
        key, now = (job.id, job.attempt, step), time.monotonic()
        cause = self._runner.cause_of_death(directory)
        if cause is None and now - self._deaths.setdefault(key, now) < DEATH_ALLOWANCE:
            return  # looked at again soon
        self._deaths.pop(key, None)
        why = cause or "killed, or the host went down"
        self._move(job, State.FAILED, f"the shim of {step} died without a word ({why}), and what it ran with it")

    # Small parts

    def _move(self, job: Job, state: State, reason: str = "", *, attempt: int | None = None) -> None:
        moved = self._store.move(job, state, reason, attempt=attempt)
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
