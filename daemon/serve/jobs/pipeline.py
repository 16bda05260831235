"""The way of a job through its states.

`turn` looks at every job that is not over and takes the next step that its records allow. It keeps nothing that a
restart would need: a new daemon's first turn adopts the shims that run, reads the exits of those that ended, and
repeats what was not finished.
"""

import contextlib
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

import structlog
from pydantic import ValidationError

from daemon.core.life import Life
from daemon.core.living import Run
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.core.settings import Preflight, Settings
from daemon.core.states import ACTIVE, STEP_OF, Job, State
from daemon.core.store import DeviceTakenError, Store
from daemon.core.vanished import refuse_absent_jobs, refuse_vanished, why
from daemon.serve.jobs.attempts import how_it_begins
from daemon.serve.jobs.endings import Cancelled, Completed, died, ended, host_went_down, stuck
from daemon.serve.jobs.follow_up import follow_up
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.preflight import Go, Preflights, Refuse, Verdict, Wait
from daemon.serve.jobs.prepare import prepare
from daemon.serve.jobs.runs import LOOK_EVERY, Found, Runs
from daemon.serve.jobs.startable import startable
from daemon.serve.jobs.starting import Starts
from daemon.serve.jobs.stuck_devices import free_devices
from daemon.serve.jobs.unfilled import why_never
from daemon.serve.loop.faults import Defect, Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Lane, Workers
from daemon.serve.steps.runner import Runner, forestall
from handlers.ckpt.files.durable import make_directory, publish_bytes
from handlers.errors import HandlerError
from handlers.records.job_dir import Step, StepDir
from handlers.records.job_plan import JobPlan
from handlers.resume.decision import Decision, Ending, Failure, Resume, Trained

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Result = TypeVar("Result")

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
        self._moves = Moves(root, store, waiting)
        self._preflights = Preflights(root, workers)
        self._deaths: dict[Run, float] = {}
        """When it was found that its shim had died."""
        self._writing: dict[int, Job] = {}
        """The jobs in whose directories somebody may be writing, as they were when that began."""
        self._is_anything_left = False
        """Whether a job that is over keeps devices locked: what is on them may be gone any moment."""
        self._runs = Runs(root, store, waiting)
        self._starts = Starts(root, runner, waiting, workers, faults, self._set_aside)

    def turn(self) -> None:
        """Take every step that can be taken now."""
        self.find_the_living()
        if not self._runs.are_known:
            return
        self._stop_late_writers()
        for number in set(self._store.locks().values()):
            self._faults.attempt(f"devices of job {number}", partial(self._free_devices, number))
        self._start_waiting_jobs()
        active = self._store.jobs(ACTIVE)
        self._is_anything_left = not set(self._store.locks().values()) <= {job.id for job in active}
        runs = {Run.of(job, STEP_OF[job.state]) for job in active if job.state in STEP_OF}
        self._starts.keep(runs)
        self._runs.keep(runs)
        self._deaths = {run: at for run, at in self._deaths.items() if run in runs}
        for job in active:
            if job.state in STEP_OF:
                self._faults.attempt(
                    f"job {job.id}", partial(self._follow, job, STEP_OF[job.state]), partial(self._set_aside, job)
                )
            elif job.cancel:
                self._cancelled(job, " before its ranks were started")
            elif not self._faults.is_paused(f"preparing job {job.id}"):
                self._workers.submit_apart(
                    Lane.JOBS,
                    job.writer,
                    partial(prepare, job, self.settings, self._root),
                    self._still(job, f"preparing job {job.id}", partial(self._prepared, job)),
                )

    def find_the_living(self) -> None:
        """Take in what lives and the store knows nothing of; at first before anything else is done."""
        self._faults.attempt("what lives", partial(self._runs.settle, self.settings.training.grace))

    def close(self) -> None:
        """Let go of all shims; they go on."""
        self._runs.close()

    @property
    def is_waiting_for_a_shim(self) -> bool:
        """Whether one was started and has not said who it is, or died and it is not known of what: turn again soon."""
        young = time.monotonic() - DEATH_ALLOWANCE
        was_started = self._starts.is_waiting_for_a_shim
        return was_started or self._runs.is_busy or any(died_at > young for died_at in self._deaths.values())

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, a job is to be looked at again; None when none is."""
        due = (
            self._preflights.next_due(now),
            self._runs.next_due(now),
            now + LOOK_EVERY if self._is_anything_left else None,
        )
        return min((when for when in due if when is not None), default=None)

    # The steps

    def _start_waiting_jobs(self) -> None:
        held = {**self._store.locks(), **self._runs.held()}
        jobs = tuple(startable(self._store.next_in_queue(), held))
        self._preflights.keep({job.id for job in jobs})
        for job in jobs:
            self._faults.attempt(f"job {job.id}", partial(self._start_waiting, job), partial(self._set_aside, job))

    def _start_waiting(self, job: Job) -> None:
        if job.cancel:  # it is cancelled as soon as that can be written
            return
        directory = job.directory(self._root.path)
        if directory.submitted.exists() and self.settings.preflight is Preflight.OFF:
            self._moves.move(job, State.PREPARING)
        elif directory.submitted.exists():
            self._preflights.look(job, self.settings, self._still(job, f"job {job.id}", partial(self._looked, job)))
        elif directory.plan.exists():
            self._moves.move(job, State.MERGING)
        elif reason := why_never(job, self._store, self._root, self.settings):
            self._moves.move(job, State.FAILED, reason)
        # else the directory is still being filled by whoever added the job

    def _looked(self, job: Job, verdict: Verdict) -> None:
        match verdict:
            case Go() if self._runs.held().keys().isdisjoint(job.devices):
                with contextlib.suppress(DeviceTakenError):  # by a job that came to the front meanwhile
                    self._moves.move(job, State.PREPARING)
            case Go():  # they are not free after all
                pass
            case Wait(reason):
                self._store.explain(job, reason)
            case Refuse(reason):
                self._moves.move(job, State.FAILED, reason)

    def _prepared(self, job: Job, plan: Future[JobPlan]) -> None:
        if self._store.job(job.id).cancel:  # asked just now; the next turn ends it
            return
        try:
            is_to_train = plan.result().train is not None
        except (HandlerError, OSError) as error:
            if may_pass(error):  # the job keeps its devices; a later turn prepares it again
                self._faults.failed(f"preparing job {job.id}", error)
                return
            self._moves.move(job, State.FAILED, str(error))
        else:
            self._faults.passed(f"preparing job {job.id}")
            if is_to_train:
                self._moves.move(job, State.TRAINING, how_it_begins(job, job.directory(self._root.path)))
            else:
                self._moves.move(job, State.MERGING, "nothing is left to train: an earlier attempt has the last save")

    def _follow(self, job: Job, step: Step) -> None:
        """Start the shim of `step`, or wait for its end, or act on how it ended."""
        run = Run.of(job, step)
        if self._starts.is_yet_to_begin(run) and not job.cancel:
            return
        found = self._runs.of(job, step, self.settings.training.grace, was_begun=self._starts.was_begun(run))
        if found.life is Life.NONE:
            self._wait_for_the_shim(job, step)
            return
        self._starts.came_up(run)
        if found.shim is not None:
            self._faults.attempt(f"directory of job {job.id}", partial(refuse_vanished, job, self._root))
            if job.cancel or (step is Step.MERGE and self._runs.is_homeless(job)):
                found.shim.signal(signal.SIGTERM)  # again with every turn, which does no harm
        elif found.life is not Life.ENDING:
            self._faults.passed(f"directory of job {job.id}")
            self._ended(job, step, found)

    def _wait_for_the_shim(self, job: Job, step: Step) -> None:
        """Start the shim of `step`, or give it up when it should have come up long ago."""
        if job.cancel:  # not simply moved: a shim may come up yet
            self._starts.cancel(job, step)
        elif self._starts.was_begun(Run.of(job, step)):
            self._starts.give_up_late(job, step)
        else:
            self._runs.refuse_taken_devices(job)
            self._starts.begin(job, step)

    def _ended(self, job: Job, step: Step, found: Found) -> None:
        directory = job.directory(self._root.path).step(job.attempt, step)
        if found.life is Life.VANISHED:
            self._vanished(job, step)
            return
        if found.life is Life.DIED:
            end: Completed | Cancelled | Failure | None = self._death(job, step, directory, found)
        else:
            end = ended(directory, step, cancel=job.cancel)
        if end is None:  # not yet known, and looked at again soon
            return
        match end := stuck(end, found.stuck):
            case Completed(reason):
                self._moves.move(job, State.MERGING if step is Step.TRAIN else State.DONE, reason)
            case Cancelled(reason):
                self._cancelled(job, f": {reason}")
            case Failure():
                self._failed(job, step, end)

    def _vanished(self, job: Job, step: Step) -> None:
        """Fail a job whose directory is gone, now that nobody works in it any more."""
        path = job.directory(self._root.path).path
        reason = f"{path} is not there, and its {step} has ended: {why(job, self._root)}, then glmd retry {job.id}"
        if job.cancel:
            self._cancelled(job, f"; {reason}")
        else:
            self._moves.move(job, State.FAILED, reason)

    def _failed(self, job: Job, step: Step, failure: Failure) -> None:
        """Act on a step that did not come to its end."""
        lost = failure.ending is Ending.LOST
        if job.cancel and lost:
            self._cancelled(job, f": {failure.reason}")
        elif job.cancel:
            self._moves.move(job, State.FAILED, failure.reason)
        elif step is Step.MERGE and lost:
            self._moves.move(job, State.MERGING, f"merges again after: {failure.reason}", attempt=job.attempt + 1)
        elif not self._faults.is_paused(f"following up job {job.id}"):
            self._workers.submit_apart(
                Lane.JOBS,
                job.writer,
                partial(follow_up, job, step, failure, self.settings, self._root),
                self._still(job, f"following up job {job.id}", partial(self._followed_up, job, failure)),
            )

    def _followed_up(self, job: Job, failure: Failure, decided: Future[Decision | None]) -> None:
        if self._store.job(job.id).cancel:  # asked meanwhile
            self._cancelled(job, f" after: {failure.reason}")
            return
        try:
            decision = decided.result()
        except (OSError, ValidationError) as error:  # of what there is of the attempt, or is no longer
            if may_pass(error):
                self._faults.failed(f"following up job {job.id}", error)
                return
            self._moves.move(job, State.FAILED, f"{failure.reason}; not tried again: {error}")
            return
        except Exception as error:  # noqa: BLE001 - logged, and the job is set aside
            aside = partial(self._set_aside, job, after=f"{failure.reason}; not tried again: ")
            self._faults.defect(f"following up job {job.id}", error, aside)
            return
        self._faults.passed(f"following up job {job.id}")
        if isinstance(decision, Resume):
            self._moves.move(job, State.TRAINING, decision.reason, attempt=job.attempt + 1)
        elif isinstance(decision, Trained):
            self._moves.move(job, State.MERGING, decision.reason)
        elif decision is not None:
            self._moves.move(job, State.FAILED, decision.reason)

    def _death(self, job: Job, step: Step, directory: StepDir, found: Found) -> Failure | None:
        """Return how a shim died; None while that may still become known."""
        run, now, lost = Run.of(job, step), time.monotonic(), host_went_down(directory)
        cause = self._runner.cause_of_death(directory)
        if cause is None and not lost and now - self._deaths.setdefault(run, now) < DEATH_ALLOWANCE:
            return None
        return died(step, cause, lost=lost, left=found.ended)

    # Small parts

    def _cancelled(self, job: Job, when: str) -> None:
        by = self._store.cancelled_by(job)
        self._moves.move(job, State.CANCELLED, f"cancelled{f' by {by}' if by else ''}{when}")

    def _free_devices(self, number: int) -> None:
        if job := self._store.readable(number):  # else nobody knows what is on them
            free_devices(job, self._store, self._root)

    def _set_aside(self, job: Job, defect: Defect, after: str = "") -> None:
        """Fail a job over which glmd itself failed, by as little as may fail in its turn; `after` is what came before.

        A shim that lives goes on, and its devices stay locked until it has ended; one that is late comes up no more.
        """
        now = self._store.readable(job.id)
        if now is None or now.state.is_over:
            return
        job = now
        directory = job.directory(self._root.path)
        make_directory(directory.path)
        publish_bytes(directory.defect, defect.traceback.encode("utf-8", "backslashreplace"))
        if job.state in STEP_OF:
            step = STEP_OF[job.state]
            forestall(directory.step(job.attempt, step), step, defect.reason)
        # Freed by the next turn, when nothing is found to be on them.
        self._store.move(job, State.FAILED, f"{after}{defect.reason}; see {directory.defect}", keep_devices=True)
        self._waiting.wake()

    def _stop_late_writers(self) -> None:
        """End work for jobs that have been cancelled or retried meanwhile, before the next one writes there."""
        for job in tuple(self._writing.values()):
            now = self._store.readable(job.id)
            if now is None or now.cancel or (now.state, now.attempt) != (job.state, job.attempt):
                del self._writing[job.id]
                self._workers.stop(job.writer)

    def _still(self, job: Job, what: str, then: Callable[[Result], None]) -> Callable[[Result], None]:
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
