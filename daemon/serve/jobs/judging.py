"""What becomes of a merged output: it is compared with the gate, perhaps evaluated before, and promoted or not."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from daemon.core.checking import read_config
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.serve.jobs.follow_up import host_goes_down
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.promoting import Promoting
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.jobs.writers import Writers
from daemon.serve.loop.faults import Faults
from handlers.error_codes import code_of
from handlers.errors import HandlerError
from handlers.gate.gate import Gate
from handlers.gate.judging import Judged, judge
from handlers.gate.standing import Evaluated
from handlers.gate.tightening import tightened
from handlers.gate.verdict import Verdict
from handlers.records.evaluation_plan import EvaluationPlan
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.decision import Ending, Failure
from handlers.validate.document import parse
from handlers.validate.glmd_section import GlmdSection, read_section


@dataclass(frozen=True)
class JudgedOutput:
    """What came of judging an output."""

    judged: Judged
    reason: str
    """What its steps said, for people."""
    evaluation: str = ""
    """Which one it needs, where it needs one."""


class Judging:
    """Judges the outputs of jobs. For the loop's thread; the work is done in processes apart."""

    def __init__(
        self,
        root: Root,
        store: Store,
        moves: Moves,
        faults: Faults,
        writers: Writers,
        set_aside: SetAside,
        promoting: Promoting,
        champion: Callable[[Job], Path | None],
    ) -> None:
        self._root = root
        self._store = store
        self._moves = moves
        self._faults = faults
        self._writers = writers
        self._set_aside = set_aside
        self._promoting = promoting
        self._champion = champion

    def judge(self, job: Job, step: Step, reason: str, settings: Settings, failure: Failure | None = None) -> None:
        """Let `job`, whose merge or evaluation has come to its end, go on; `reason` is what that step said.

        `failure` is how an evaluation ended that has told nothing.
        """
        what = f"judging job {job.id}"
        work = partial(judge_output, job, step, reason, settings, self._root, self._champion(job), failure)
        self._writers.submit(job, what, work, partial(self._judged, job, reason))

    def _judged(self, job: Job, reason: str, judging: Future[JudgedOutput | None]) -> None:
        if self._store.job(job.id).cancel and not self._store.is_promoted(job):
            return  # asked meanwhile; the next turn ends it
        what = f"judging job {job.id}"
        try:
            found = judging.result()
        except (HandlerError, OSError) as error:
            if may_pass(error):
                self._faults.failed(what, error)
                return
            verdict = Verdict(passed=False, reason=f"it could not be judged: {error}", code=code_of(error))
            self._promoting.settle(job, verdict, reason)
            return
        except Exception as error:  # noqa: BLE001 - logged, and the job is set aside
            self._faults.defect(what, error, partial(self._set_aside, job))
            return
        self._faults.passed(what)
        if found is None:  # the host goes down: the daemon after the reboot goes on
            return
        if found.judged.needs_evaluation:
            self._moves.move(job, State.EVALUATING, f"{found.reason}; evaluation {found.evaluation}")
        else:
            self._promoting.settle(job, found.judged.verdict, found.reason)


def judge_output(
    job: Job, step: Step, reason: str, settings: Settings, root: Root, champion: Path | None, failure: Failure | None
) -> JudgedOutput | None:
    """Judge the output of `job`, and publish verdict.json unless an evaluation is still to be run.

    Doing it again is harmless: what was judged of an attempt once stays. None leaves it to the daemon after a reboot.
    Raises HandlerError or OSError.
    """
    if failure is not None and failure.ending is Ending.STOPPED and host_goes_down():
        return None
    directory = job.directory(root.path)
    reasons = reason if step is Step.MERGE else _reasons(directory, job.attempt, "" if failure else reason)
    if (before := _before(directory, job.attempt)) is not None:
        return JudgedOutput(Judged(before), reasons)
    gate = gate_of(directory, settings)
    evaluated = None if step is Step.MERGE else _evaluated(directory, job, gate, failure)
    judged = judge(directory, gate, champion, evaluated, job=job.id, attempt=job.attempt)
    if not judged.needs_evaluation:
        judged.verdict.publish(directory.verdict)
    return JudgedOutput(judged, reasons, gate.evaluate or "")


def gate_of(directory: JobDir, settings: Settings) -> Gate:
    """Return what an output has to pass, by the settings and by its own file. Raises HandlerError and OSError."""
    section = section_of(directory, settings)
    return settings.gate if section is None else tightened(settings.gate, section.gate)


def section_of(directory: JobDir, settings: Settings) -> GlmdSection | None:
    """Return what a job's file says to glmd; None for a watched tree, which has none. Raises HandlerError, OSError."""
    try:
        content = read_config(directory.submitted, settings)
    except FileNotFoundError:
        return None
    section, _, _ = read_section(parse(content, directory.submitted.name, len(content)).root)
    return section


def _before(directory: JobDir, attempt: int) -> Verdict | None:
    with contextlib.suppress(FileNotFoundError, ValidationError):
        verdict = Verdict.read(directory.verdict)
        return verdict if verdict.attempt == attempt else None
    return None


def _evaluated(directory: JobDir, job: Job, gate: Gate, failure: Failure | None) -> Evaluated:
    records, name = directory.step(job.attempt, Step.EVALUATE), gate.evaluate or ""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        name = EvaluationPlan.read(records.plan).name
    if failure is not None:
        return Evaluated(name, failure=failure.reason)
    return Evaluated(name, StepExit.read(records.exit).metrics or {})


def _reasons(directory: JobDir, attempt: int, reason: str) -> str:
    """Return what the merge of a job said, which was perhaps an earlier attempt's, and its evaluation."""
    for number in range(attempt, 0, -1):
        with contextlib.suppress(FileNotFoundError, ValidationError):
            merge = StepExit.read(directory.step(number, Step.MERGE).exit)
            if merge.outcome is Outcome.COMPLETED:
                return "; ".join(part for part in (merge.reason, reason) if part)
    return reason
