"""What Slurm is asked and told for jobs, in threads of workers: it may take a minute not to answer."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog
from pydantic import ValidationError

from daemon.core.root import Root
from daemon.core.slurm_settings import SlurmSettings
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.serve.jobs.after_step import AfterStep
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Lane, Workers
from daemon.serve.steps.slurm.client import Commands, NotTakenError, Row, SlurmClient, UnclearError
from daemon.serve.steps.slurm.queue import Answer, ask, next_question
from daemon.serve.steps.slurm.submission import SlurmRecords, cancel, submit, withdraw
from handlers.codes import Code
from handlers.records.slurm import Submitted

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Result = TypeVar("Result")


class SlurmWork:
    """Hands it out, and takes what comes of it. For the loop's thread."""

    def __init__(
        self, root: Root, store: Store, moves: Moves, workers: Workers, faults: Faults, set_aside: SetAside
    ) -> None:  # fmt: skip
        self._root = root
        self._store = store
        self._moves = moves
        self._workers = workers
        self._faults = faults
        self._set_aside = set_aside
        self.answer: Answer | None = None
        """What Slurm said last of all jobs."""

    def ask(self, slurm: SlurmSettings) -> None:
        """Ask for all jobs at once, unless that was done a moment ago."""
        if self.answer is None or time.monotonic() >= next_question(self.answer, slurm.poll):
            self._workers.submit(Lane.SLURM, "slurm", partial(ask, _client(slurm)), self._answered)

    def _answered(self, asked: Future[Answer]) -> None:
        before, self.answer = self.answer, asked.result()
        if self.answer.unclear:
            unanswered = 1 if before is None else before.unanswered + 1
            self.answer = replace(self.answer, unanswered=unanswered)
            self._faults.failed("Slurm", UnclearError(self.answer.unclear))
        else:
            self._faults.passed("Slurm")

    def submit(self, job: Job, slurm: SlurmSettings) -> None:
        """Let Slurm have `job`, unless that failed a moment ago."""
        work = partial(submit, job.directory(self._root.path), job.attempt, _client(slurm), slurm.settle)
        self._do(job, f"submitting job {job.id} to Slurm", work, partial(self._submitted, job))

    def _submitted(self, job: Job, submitted: Submitted) -> None:
        self._store.explain(job, f"Slurm job {submitted.id} waits in Slurm's queue")
        log.info("submitted_to_slurm", job=job.id, slurm=submitted.id, how=submitted.how)

    def end_others(self, job: Job, slurm: SlurmSettings, others: Sequence[Row]) -> None:
        """Let Slurm have no further job of the present attempt of `job`: a request may have come late, and twice."""
        work = partial(cancel, _client(slurm), others)
        self._do(job, f"cancelling what is too much of job {job.id} in Slurm", work, partial(self._others_ended, job))

    @staticmethod
    def _others_ended(job: Job, numbers: tuple[str, ...]) -> None:
        log.warning("slurm_duplicates_cancelled", job=job.id, slurm=list(numbers))

    def withdraw(self, job: Job, slurm: SlurmSettings, after_step: AfterStep) -> None:
        """Let Slurm have nothing of `job`, which is to be cancelled; it is, when nothing of it can come any more."""
        work = partial(withdraw, job.directory(self._root.path), job.attempt, _client(slurm), slurm.settle)
        self._do(job, f"cancelling job {job.id} in Slurm", work, partial(self._withdrawn, job, after_step))

    def _withdrawn(self, job: Job, after_step: AfterStep, is_gone: bool) -> None:  # noqa: FBT001 - a result
        if is_gone and SlurmRecords(job.directory(self._root.path), job.attempt).owner() is None:
            after_step.cancelled(job, " before it began")

    def _do(self, job: Job, what: str, work: Callable[[], Result], then: Callable[[Result], None]) -> None:
        if not self._faults.is_paused(what):
            take = partial(self._take, job, what, then)
            self._workers.submit(Lane.SLURM, (what, job.attempt), work, take)

    def _take(self, job: Job, what: str, then: Callable[[Result], None], done: Future[Result]) -> None:
        """Take a result, if `job` is where it was when the work for it was begun."""
        now = self._store.readable(job.id)
        if now is None or (now.state, now.attempt) != (job.state, job.attempt):
            self._faults.passed(what)
            return
        try:
            then(done.result())
        except UnclearError as error:
            self._store.explain(job, f"Slurm gives no clear answer: {error}", Code.SLURM_NO_ANSWER)
            self._faults.failed(what, error)
        except NotTakenError as error:
            reason = f"{what} failed: {error}; mend that, then glmd retry {job.id}"
            self._faults.passed(what)
            self._moves.move(job, State.FAILED, reason, Code.SLURM_REFUSED)
        except (OSError, ValidationError) as error:
            self._faults.failed(what, error)
        except Exception as error:  # noqa: BLE001 - logged, and the job is set aside
            self._faults.defect(what, error, partial(self._set_aside, job))
        else:
            self._faults.passed(what)


def _client(slurm: SlurmSettings) -> SlurmClient:
    return SlurmClient(Commands(**slurm.commands.model_dump()))
