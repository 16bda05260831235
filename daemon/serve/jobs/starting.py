"""Starting the shims of runs, once more those of which nothing is seen, and giving up those that do not come up."""

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from functools import partial

from daemon.core.life import START_ALLOWANCE
from daemon.core.living import Run
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.core.states import Job
from daemon.serve.loop.faults import Defect, Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Lane, Workers
from daemon.serve.steps.runner import Runner, RunnerError, forestall
from handlers.codes import Code
from handlers.records.job_dir import Step
from handlers.records.step_exit import Outcome

START_AGAIN = 15.0
"""Seconds after which a shim of which nothing is seen is started once more."""


class Starts:
    """The runs whose shims are being started. For the loop's thread; `set_aside` fails a job over a defect."""

    def __init__(
        self,
        root: Root,
        runner: Runner,
        waiting: Waiting,
        workers: Workers,
        faults: Faults,
        set_aside: Callable[[Job, Defect], None],
    ) -> None:
        self._root = root
        self._runner = runner
        self._waiting = waiting
        self._workers = workers
        self._faults = faults
        self._set_aside = set_aside
        self._started: dict[Run, float | None] = {}
        """When, on the monotonic clock, its shim was started first; None while a worker is yet to do so."""
        self._again: dict[Run, float] = {}
        """When to start it once more, where nothing is seen of it."""

    @property
    def is_waiting_for_a_shim(self) -> bool:
        """Whether one was started and has not said who it is."""
        return any(at is not None for at in self._started.values())

    def keep(self, runs: Collection[Run]) -> None:
        """Forget all runs but these."""
        self._started = {run: at for run, at in self._started.items() if run in runs}
        self._again = {run: at for run, at in self._again.items() if run in runs}

    def was_begun(self, run: Run) -> bool:
        """Say whether the shim of `run` was started, or is about to be."""
        return run in self._started

    def is_yet_to_begin(self, run: Run) -> bool:
        """Say whether a worker is yet to start the shim of `run`."""
        return self._started.get(run, 0.0) is None

    def came_up(self, run: Run) -> None:
        """Take note that there is a shim of `run`, or was one."""
        self._started.pop(run, None)
        self._faults.passed(f"starting job {run.job}")

    def begin(self, job: Job, step: Step) -> None:
        """Let a worker start the shim of `step`, unless starting failed a moment ago."""
        run = Run.of(job, step)
        if not self._faults.is_paused(f"starting job {job.id}"):
            self._started[run] = None
            self._start(job, run)

    def handle_late(self, job: Job, step: Step) -> None:
        """Start a shim once more that should have come up, and give it up when that was long ago.

        It may have ended before it could say so, its directory being away. Of two that come up, one refuses.
        """
        run, now = Run.of(job, step), time.monotonic()
        since = self._started[run]
        if since is None:
            return
        if now - since > START_ALLOWANCE:
            self._give_up(job, step, f"the shim of {step} did not come up in {START_ALLOWANCE:g} s", Code.SHIM_LATE)
        elif now > self._again.setdefault(run, since + START_AGAIN):
            self._again[run] = now + START_AGAIN
            self._start(job, run)

    def _start(self, job: Job, run: Run) -> None:
        self._workers.submit(
            Lane.STARTS,
            ("start", run),
            partial(self._runner.start, job, run.step, self._root.path),
            partial(self._was_started, job, run),
        )

    def cancel(self, job: Job, step: Step) -> None:
        """Let the shim of `step` not come up any more, should it have been started, perhaps by the daemon before."""
        run = Run.of(job, step)
        self._started[run] = self._started.get(run) or time.monotonic()
        self._give_up(job, step, f"stopped before {step} started", Code.JOB_CANCELLED, Outcome.CANCELLED)

    def _was_started(self, job: Job, run: Run, started: Future[None]) -> None:
        # Only now does its time begin: behind thousands of drops to be checked, a start may wait for minutes.
        if run in self._started:
            self._started[run] = self._started[run] or time.monotonic()
        try:
            started.result()
        except RunnerError as error:
            if isinstance(error.__cause__, OSError) and may_pass(error.__cause__):  # no process was made
                self._faults.failed(f"starting job {job.id}", error.__cause__)
                self._started.pop(run, None)
                return
            give_up = partial(self._give_up, job, run.step, str(error), error.code)
            self._faults.attempt(f"giving up job {job.id}", give_up, partial(self._set_aside, job))
        except Exception as error:  # noqa: BLE001 - logged, and the job is set aside
            self._faults.defect(f"starting job {job.id}", error, partial(self._set_aside, job))

    def _give_up(self, job: Job, step: Step, reason: str, code: Code, outcome: Outcome = Outcome.FAILED) -> None:
        """Let no shim of this run come up any more; the next turn reads the exit that says so."""
        if forestall(job.directory(self._root.path).step(job.attempt, step), step, reason, outcome, code=code):
            self._waiting.wake()
