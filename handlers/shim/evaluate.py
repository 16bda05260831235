"""Runs an evaluation: one program, with a time limit, that tells in the end what it has measured."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.event_lines import Log
from handlers.gate.metrics import metrics_in
from handlers.rank_log.last_words import last_words
from handlers.records.evaluation_plan import EvaluationPlan
from handlers.records.job_dir import JobDir
from handlers.records.step_exit import Outcome, ProcessExit, Survivor
from handlers.records.train_plan import Environments, ProcessPlan, Role, TimeLimits
from handlers.shim import marks
from handlers.shim.children import Children
from handlers.shim.home import Home
from handlers.shim.instance import StepRun
from handlers.shim.limit_clock import LimitClock
from handlers.shim.patience import patiently
from handlers.shim.processes import signal_name
from handlers.shim.supervise import StepEnd
from handlers.shim.survivors import describe, operator_needed
from handlers.shim.termination import LOOK_EVERY, Termination
from handlers.shim.wakeups import Wakeups


def evaluate(run: StepRun, home: Home, wakeups: Wakeups, log: Log) -> StepEnd:
    """Run the evaluation that was planned for `run`, and leave nothing of it behind. Raises OSError, BadInputError.

    Must run in the main thread of a process without children of its own.
    """
    plan, environment = patiently("plan.json", partial(home.do, partial(_read, run)), wakeups, log)
    process = ProcessPlan(
        role=Role.EVALUATION,
        ranks=(),
        argv=plan.argv,
        environment={**environment, marks.NAME: marks.mark(run.directory.path, plan.devices)},
        directory=plan.directory,
        log=run.directory.stdout,
    )
    evaluation = _Evaluation(plan, process, run.directory.stderr, wakeups, log)
    patient = False
    end = StepEnd(Outcome.FAILED, "")
    try:
        end = evaluation.begin() or evaluation.watch()
        patient = end.outcome is Outcome.COMPLETED
    finally:
        end = evaluation.end(end, patient=patient)
    return end


def _read(run: StepRun, job_dir: JobDir) -> tuple[EvaluationPlan, dict[str, str]]:
    records = job_dir.step(run.attempt, run.step)
    try:
        plan = EvaluationPlan.read(records.plan)
        (environment,) = Environments.read(records.environment).processes
    except (ValidationError, ValueError) as error:  # its text may quote a secret
        raise BadInputError(f"{run.directory.path}: holds no plan of an evaluation", Code.SHIM_PLAN) from error
    return plan, environment


class _Evaluation:
    def __init__(
        self, plan: EvaluationPlan, process: ProcessPlan, errors: Path, wakeups: Wakeups, log: Log
    ) -> None:  # fmt: skip
        self._plan = plan
        self._process = process
        self._errors = errors
        self._wakeups = wakeups
        self._log = log
        self._children = Children()
        self._pid = 0
        self._exit: ProcessExit | None = None
        self._clock = LimitClock(TimeLimits(silence=None, first_step=None, total=plan.timeout), time.monotonic())

    def begin(self) -> StepEnd | None:
        """Start it; return how it ended where it could not be started."""
        start = partial(self._children.start, self._process, self._errors)
        try:
            self._pid = patiently("start of the evaluation", start, self._wakeups, self._log)
        except (OSError, ValueError) as error:
            if self._wakeups.stop is not None:
                return self._stopped()
            return StepEnd(Outcome.FAILED, f"it could not be started: {error}", Code.GATE_EVALUATION)
        self._log.info("process_started", role=self._process.role, pid=self._pid)
        return None

    def watch(self) -> StepEnd:
        """Wait until it has ended, or is to be ended."""
        while True:
            self._collect()
            if self._wakeups.stop is not None:
                return self._stopped()
            if self._exit is not None:
                return self._ended(self._exit)
            self._clock.look(time.monotonic())
            if (passed := self._clock.passed()) is not None:
                reason = f"not finished after {passed.seconds:g} s (timeout); its last output: {self._words()}"
                return StepEnd(Outcome.TIMED_OUT, reason, Code.GATE_EVALUATION, limit=passed.setting)
            self._wakeups.wait(min(self._clock.seconds_left(), LOOK_EVERY))

    def end(self, end: StepEnd, *, patient: bool) -> StepEnd:
        """End what is left of it, and return `end` with all that happened since."""
        survivors: tuple[Survivor, ...] = ()
        if not Termination(self._children, self._wakeups, self._log, self._collect).end(
            self._plan.grace, patient=patient
        ):
            survivors = describe(self._children.pids(), {self._pid: self._process})
        needed = operator_needed(survivors) if survivors else ""
        return replace(
            end,
            reason="; ".join(part for part in (needed, end.reason) if part),
            code=Code.SHIM_SURVIVORS if survivors else end.code,
            first=self._exit if end.outcome is Outcome.FAILED else None,
            processes=() if self._exit is None else (self._exit,),
            survivors=survivors,
        )

    def _collect(self) -> None:
        for pid, code in self._children.reap():
            self._exit = ProcessExit(
                role=self._process.role,
                rank=None,
                device=None,
                pid=pid,
                exit_code=code if code >= 0 else None,
                signal=signal_name(-code) if code < 0 else None,
                ended=datetime.now(UTC),
                line=last_words(self._errors),
            )
            self._log.info("process_exited", role=self._process.role, pid=pid, exit_code=code)

    def _ended(self, exit_: ProcessExit) -> StepEnd:
        if exit_.exit_code != 0:
            how = f"was killed by {exit_.signal}" if exit_.signal else f"exited {exit_.exit_code}"
            return StepEnd(Outcome.FAILED, f"it {how}: {self._words()}", Code.GATE_EVALUATION)
        try:
            metrics = metrics_in(self._process.log, self._plan.telling)
        except BadInputError as error:
            return StepEnd(Outcome.FAILED, str(error), error.code)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        return StepEnd(Outcome.COMPLETED, f"evaluation {self._plan.name}: {figures}", metrics=metrics)

    def _words(self) -> str:
        return last_words(self._errors) or last_words(self._process.log) or "nothing"

    def _stopped(self) -> StepEnd:
        name = self._wakeups.stop.name if self._wakeups.stop is not None else "SIGTERM"
        return StepEnd(Outcome.CANCELLED, f"stopped by {name}", Code.SHIM_STOPPED)
