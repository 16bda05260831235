"""What Slurm is asked and told for jobs, in threads of workers: it may take a minute not to answer."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

import structlog
from pydantic import ValidationError

from daemon.core.root import Root
from daemon.core.slurm_settings import SlurmSettings
from daemon.core.states import STEP_OF, Job, State
from daemon.core.store import Store
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Lane, Workers
from daemon.serve.steps.slurm.leaving_out import left_out_text
from daemon.serve.steps.slurm.queue import Answer, ask, next_question
from daemon.serve.steps.slurm.submission import SlurmRecords, cancel, leave_none_out, read, submit, withdraw
from handlers.codes import Code
from handlers.events import job_log
from handlers.records.slurm import Intent, Submitted
from handlers.slurm.calling import UnclearError
from handlers.slurm.client import NotTakenError, SlurmClient
from handlers.slurm.expected import clock
from handlers.slurm.queue import Row

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
            self.answer = replace(self.answer, silent_since=self._faults.since("Slurm"), unanswered=unanswered)
            self._faults.failed("Slurm", UnclearError(self.answer.silence.removeprefix("Slurm ")))
        else:
            self._faults.passed("Slurm")

    def submit(self, job: Job, slurm: SlurmSettings) -> None:
        """Let Slurm have `job`, unless that failed a moment ago."""
        directory, step = job.directory(self._root.path), STEP_OF[job.state]
        work = partial(submit, directory, job.attempt, _client(slurm), slurm.settle, step)
        self._do(job, f"submitting job {job.id} to Slurm", work, partial(self._submitted, job))

    def _submitted(self, job: Job, submitted: Submitted) -> None:
        intent = read(Intent, SlurmRecords(job.directory(self._root.path), job.attempt, STEP_OF[job.state]).intent)
        left_out = "" if intent is None else left_out_text(intent)
        self._store.explain(job, f"Slurm job {submitted.id} waits in Slurm's queue{left_out and f'; {left_out}'}")
        log.info("submitted_to_slurm", job=job.id, slurm=submitted.id, how=submitted.how)
        if intent is not None and intent.in_vain:
            self._none_left_out(job, left_out)

    def leave_none_out(self, job: Job, slurm: SlurmSettings, why: str) -> None:
        """Let `job` have those nodes anyway that earlier attempts had trouble with: Slurm has no others."""
        directory = job.directory(self._root.path)
        work = partial(leave_none_out, directory, job.attempt, _client(slurm), f"Slurm says {why}")
        self._do(job, f"giving job {job.id} all nodes in Slurm", work, partial(self._none_left_out, job))

    def _none_left_out(self, job: Job, why: str) -> None:
        events = job_log(job.directory(self._root.path).events, job=job.id, attempt=job.attempt)
        events.warning("no_node_left_out", reason=why)

    def end_others(self, job: Job, slurm: SlurmSettings, others: Sequence[Row]) -> None:
        """Let Slurm have no further job of the present attempt of `job`: a request may have come late, and twice."""
        work = partial(cancel, _client(slurm), others)
        self._do(job, f"cancelling what is too much of job {job.id} in Slurm", work, partial(self._others_ended, job))

    @staticmethod
    def _others_ended(job: Job, numbers: tuple[str, ...]) -> None:
        log.warning("slurm_duplicates_cancelled", job=job.id, slurm=list(numbers))

    def withdraw(self, job: Job, slurm: SlurmSettings, then: Callable[[], object]) -> None:
        """Let Slurm have nothing of `job`; `then` is called when nothing of it can come any more, and none began."""
        directory, step = job.directory(self._root.path), STEP_OF[job.state]
        work = partial(withdraw, directory, job.attempt, _client(slurm), slurm.settle, step)
        self._do(job, f"cancelling job {job.id} in Slurm", work, partial(self._withdrawn, job, then))

    def _withdrawn(self, job: Job, then: Callable[[], object], is_gone: bool) -> None:  # noqa: FBT001 - a result
        if is_gone and SlurmRecords(job.directory(self._root.path), job.attempt, STEP_OF[job.state]).owner() is None:
            then()

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
            self._faults.failed(what, error)
            since = clock(self._faults.since(what), datetime.now())  # noqa: DTZ005 - people's own
            self._store.explain(job, f"Slurm gives no clear answer since {since}: {error}", Code.SLURM_NO_ANSWER)
        except NotTakenError as error:
            reason = f"{what} failed: {error}; fix that, then glmd retry {job.id}"
            self._faults.passed(what)
            self._moves.move(job, State.FAILED, reason, Code.SLURM_REFUSED)
        except (OSError, ValidationError) as error:
            self._faults.failed(what, error)
        except Exception as error:  # noqa: BLE001 - logged, and the job is set aside
            self._faults.defect(what, error, partial(self._set_aside, job))
        else:
            self._faults.passed(what)


def _client(slurm: SlurmSettings) -> SlurmClient:
    return SlurmClient(slurm.programs)
