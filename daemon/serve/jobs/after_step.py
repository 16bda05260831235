"""What follows the end of a step: the next one, the same once more, or the job's own end."""

import time
from collections.abc import Collection
from concurrent.futures import Future
from functools import partial

from pydantic import ValidationError

from daemon.core.life import Life
from daemon.core.living import Run
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.core.vanished import why
from daemon.serve.jobs.endings import Finished, died, ended, host_went_down, stuck
from daemon.serve.jobs.follow_up import follow_up
from daemon.serve.jobs.judging import Judging
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.runs import Found
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.jobs.writers import Writers
from daemon.serve.loop.faults import Faults
from daemon.serve.steps.runner import Runner
from handlers.codes import Code
from handlers.records.job_dir import Step, StepDir
from handlers.resume.decision import Decision, Ending, Failure, Resume, Trained

DEATH_ALLOWANCE = 2.0
"""Seconds in which the cause of a shim's death may still become known."""

_AGAIN = {Step.MERGE: "merges", Step.EVALUATE: "evaluates"}

MOST_EVALUATIONS = 3
"""Of one output, where the shim of each is killed: its program may be what makes the host kill."""
_OF_THE_SHIM = frozenset({Code.SHIM_DIED, Code.SHIM_LATE, Code.SHIM_NOT_STARTED, Code.SHIM_NO_EXIT})
"""What says nothing of the program that it was to run."""


class AfterStep:
    """Acts on the ends of steps. For the loop's thread."""

    def __init__(
        self,
        root: Root,
        store: Store,
        runner: Runner,
        moves: Moves,
        faults: Faults,
        writers: Writers,
        set_aside: SetAside,
        judging: Judging,
    ) -> None:
        self._root = root
        self._store = store
        self._runner = runner
        self._moves = moves
        self._faults = faults
        self._writers = writers
        self._set_aside = set_aside
        self._judging = judging
        self._deaths: dict[Run, float] = {}
        """When it was found that its shim had died."""

    @property
    def is_waiting_for_a_cause(self) -> bool:
        """Whether a shim died and it is not known of what: turn again soon."""
        young = time.monotonic() - DEATH_ALLOWANCE
        return any(died_at > young for died_at in self._deaths.values())

    def keep(self, runs: Collection[Run]) -> None:
        """Forget all runs but these."""
        self._deaths = {run: at for run, at in self._deaths.items() if run in runs}

    def act(self, job: Job, step: Step, found: Found, settings: Settings) -> None:
        """Let `job` go where the end of `step` leads. Raises OSError, and TransitionError where it moved meanwhile."""
        directory = job.directory(self._root.path).step(job.attempt, step)
        if found.life is Life.VANISHED:
            self._vanished(job, step)
            return
        if found.life is Life.DIED:
            end: Finished | Failure | None = self._death(job, step, directory, found)
        else:
            end = ended(directory, step, cancel=job.cancel)
        if end is not None:  # else it is not yet known, and looked at again soon
            self.go_on(job, step, stuck(end, found.stuck), settings)

    def go_on(self, job: Job, step: Step, end: Finished | Failure, settings: Settings) -> None:
        """Let `job` go where `end` of `step` leads; see `act`."""
        match end:
            case Finished(is_cancelled=False, reason=reason) if step is Step.TRAIN:
                self._moves.move(job, State.MERGING, reason)
            case Finished(is_cancelled=False, reason=reason) if job.cancel and not self._store.is_promoted(job):
                self.cancelled(job, f"; its merged checkpoint stays: {reason}")
            case Finished(is_cancelled=False, reason=reason):
                self._judging.judge(job, step, reason, settings)
            case Finished(reason=reason):
                self.cancelled(job, f": {reason}")
            case Failure():
                self._failed(job, step, end, settings)

    def _vanished(self, job: Job, step: Step) -> None:
        """Fail a job whose directory is gone, now that nobody works in it any more."""
        path = job.directory(self._root.path).path
        reason = f"{path} is not there, and its {step} has ended: {why(job, self._root)}, then glmd retry {job.id}"
        if job.cancel:
            self.cancelled(job, f"; {reason}")
        else:
            self._moves.move(job, State.FAILED, reason, Code.JOB_DIRECTORY_GONE)

    def _failed(self, job: Job, step: Step, failure: Failure, settings: Settings) -> None:
        """Act on a step that did not come to its end."""
        lost = failure.ending in {Ending.LOST, Ending.TAKEN}
        if job.cancel and lost:
            self.cancelled(job, f": {failure.reason}")
        elif job.cancel and step is not Step.EVALUATE:
            self._moves.move(job, State.FAILED, failure.reason, failure.code)
        elif job.cancel:  # its output is there, whatever the evaluation came to
            self.cancelled(job, f"; its merged checkpoint stays: {failure.reason}")
        elif step is not Step.TRAIN and (lost or self._tells_nothing(job, step, failure)):
            reason = f"{_AGAIN[step]} again after: {failure.reason}"
            self._moves.move(job, job.state, reason, failure.code, attempt=job.attempt + 1)
        elif step is Step.EVALUATE:
            self._judging.judge(job, step, failure.reason, settings, failure)
        else:
            self._writers.submit(
                job,
                f"following up job {job.id}",
                partial(follow_up, job, step, failure, settings, self._root),
                partial(self._followed_up, job, failure),
            )

    def _tells_nothing(self, job: Job, step: Step, failure: Failure) -> bool:
        """Say whether it is not the evaluation that failed, but its shim, and not again and again."""
        if step is not Step.EVALUATE or failure.code not in _OF_THE_SHIM:
            return False
        states = [moved.state for moved in self._store.history(job.id)]
        begun = states[::-1].index(State.MERGING) if State.MERGING in states else len(states)
        return begun < MOST_EVALUATIONS

    def _followed_up(self, job: Job, failure: Failure, decided: Future[Decision | None]) -> None:
        if self._store.job(job.id).cancel:  # asked meanwhile
            self.cancelled(job, f" after: {failure.reason}")
            return
        try:
            decision = decided.result()
        except (OSError, ValidationError) as error:  # of what there is of the attempt, or is no longer
            if may_pass(error):
                self._faults.failed(f"following up job {job.id}", error)
                return
            self._moves.move(job, State.FAILED, f"{failure.reason}; not tried again: {error}", failure.code)
            return
        except Exception as error:  # noqa: BLE001 - logged, and the job is set aside
            aside = partial(self._set_aside, job, after=f"{failure.reason}; not tried again: ")
            self._faults.defect(f"following up job {job.id}", error, aside)
            return
        self._faults.passed(f"following up job {job.id}")
        if isinstance(decision, Resume):
            next_ = State.SUBMITTED if job.nodes else State.TRAINING
            self._moves.move(job, next_, decision.reason, failure.code, attempt=job.attempt + 1)
        elif isinstance(decision, Trained):
            self._moves.move(job, State.MERGING, decision.reason, failure.code)
        elif decision is not None:
            self._moves.move(job, State.FAILED, decision.reason, failure.code)

    def _death(self, job: Job, step: Step, directory: StepDir, found: Found) -> Failure | None:
        """Return how a shim died; None while that may still become known."""
        run, now, lost = Run.of(job, step), time.monotonic(), host_went_down(directory)
        cause = self._runner.cause_of_death(directory)
        if cause is None and not lost and now - self._deaths.setdefault(run, now) < DEATH_ALLOWANCE:
            return None
        return died(step, cause, lost=lost, left=found.ended)

    def cancelled(self, job: Job, when: str) -> None:
        """Let `job` be cancelled, and say by whom; `when` follows."""
        by = self._store.cancelled_by(job)
        reason = f"cancelled{f' by {by}' if by else ''}{when}"
        self._moves.move(job, State.CANCELLED, reason, Code.JOB_CANCELLED)
