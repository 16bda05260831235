"""Runs the processes of a training to their common end: all finish, or none is left."""

import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from handlers.job_plan import ProcessPlan, Role, TrainPlan
from handlers.outcome import Outcome, ProcessExit
from handlers.rank_log.last_words import last_line, last_words
from handlers.rank_log.progress import progress_in
from handlers.shim.children import Children
from handlers.shim.limit_clock import LimitClock, PassedLimit
from handlers.shim.wakeups import Wakeups

_LOOK_EVERY = 1.0
"""Seconds between two looks at what no signal tells: the growth of logs, and the clock."""
_KILL_PATIENCE = 10.0
"""Seconds that a killed process gets to vanish; one that is still there sits in the kernel (state D)."""


@dataclass(frozen=True)
class StepEnd:
    """How the work of a step ended. `processes`, of a training, are in the order of their ends."""

    outcome: Outcome
    reason: str
    first: ProcessExit | None = None
    processes: tuple[ProcessExit, ...] = ()


def supervise(plan: TrainPlan, output: Path, wakeups: Wakeups, log: FilteringBoundLogger) -> StepEnd:
    """Start the processes of `plan`, wait for them, and leave none behind, whatever happens.

    A process that fails, a time limit that passes or a stop signal ends the others at once: TERM, and KILL after the
    plan's grace. `output` is the tree whose checkpoint/ shows signs of life. Must run in the main thread of a process
    that has no children of its own.
    """
    training = _Training(plan, output, wakeups, log)
    patient = False
    try:
        end = training.start() or training.watch()
        patient = end.outcome is Outcome.COMPLETED
    finally:
        survivors = training.end(patient=patient)
    return training.report(end, survivors)


class _Training:
    def __init__(self, plan: TrainPlan, output: Path, wakeups: Wakeups, log: FilteringBoundLogger) -> None:
        self._plan = plan
        self._checkpoints = output / "checkpoint"
        self._wakeups = wakeups
        self._log = log
        self._children = Children()
        self._running: dict[int, ProcessPlan] = {}
        self._exits: list[ProcessExit] = []
        self._clock = LimitClock(plan.limits, time.monotonic())
        self._seen = self._signs_of_life()

    def start(self) -> StepEnd | None:
        """Start all; return how the training ended when one cannot be started."""
        for process in self._plan.processes:
            try:
                pid = self._children.start(process)
            except (OSError, ValueError) as error:
                self._log.error("process_not_started", **_fields(process), reason=str(error))
                return StepEnd(Outcome.FAILED, f"{_name(process)} could not be started: {error}")
            self._running[pid] = process
            self._log.info("process_started", **_fields(process), pid=pid)
        return None

    def watch(self) -> StepEnd:
        """Wait until there is a reason to end the training, or it has ended well."""
        while True:
            self._collect()
            failed = next((exit_ for exit_ in self._exits if exit_.exit_code != 0), None)
            if failed is None and not any(process.role is Role.RANK for process in self._running.values()):
                return StepEnd(Outcome.COMPLETED, "")
            # A stop is asked about before a failure: who stops a whole unit or terminal signals the ranks as well.
            if self._wakeups.stop is not None:
                return StepEnd(Outcome.CANCELLED, f"told to end by {self._wakeups.stop.name}")
            if failed is not None:
                return StepEnd(Outcome.FAILED, _failure(failed), first=failed)
            passed = self._passed_limit()
            if passed is not None:
                return StepEnd(Outcome.TIMED_OUT, self._silence(passed))
            left = self._clock.seconds_left(time.monotonic())
            self._wakeups.wait(None if left is None else min(left, _LOOK_EVERY))

    def end(self, *, patient: bool) -> list[int]:
        """End all descendants and return the pids of those that even KILL did not; `patient` lets them leave first."""
        if patient and self._gone_within(self._plan.grace):
            return []
        for signum, seconds in ((signal.SIGTERM, self._plan.grace), (signal.SIGKILL, _KILL_PATIENCE)):
            self._collect()
            pids = self._children.pids()
            if pids:
                self._log.info("ending_processes", signal=signum.name, pids=pids)
            if self._gone_within(seconds, signum):
                return []
        survivors = self._children.pids()
        self._log.error("processes_survived_kill", pids=survivors)
        return survivors

    def report(self, end: StepEnd, survivors: list[int]) -> StepEnd:
        """Return `end` with all that happened since."""
        still = f"; still there after SIGKILL, an operator is needed: pid {', '.join(map(str, survivors))}"
        reason = end.reason + still if survivors else end.reason
        return StepEnd(end.outcome, reason.removeprefix("; "), end.first, tuple(self._exits))

    def _gone_within(self, seconds: float, signum: signal.Signals | None = None) -> bool:
        """Send `signum` and wait until no descendant is left; KILL is sent again to those started meanwhile."""
        deadline = time.monotonic() + seconds
        signalled = False
        while True:
            self._collect()
            if not self._children.pids():
                return True
            if signum is not None and (signum is signal.SIGKILL or not signalled):
                self._children.signal(signum)
                signalled = True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._wakeups.wait(min(left, _LOOK_EVERY))

    def _collect(self) -> None:
        for pid, code in self._children.reap():
            process = self._running.pop(pid)
            exit_ = ProcessExit(
                role=process.role,
                rank=process.rank,
                device=process.device,
                pid=pid,
                exit_code=code if code >= 0 else None,
                signal=_signal_name(-code) if code < 0 else None,
                ended=datetime.now(UTC),
                line=_line(process, code),
            )
            self._exits.append(exit_)
            how = {"exit_code": exit_.exit_code} if exit_.signal is None else {"signal": exit_.signal}
            why = {} if code == 0 else {"reason": exit_.line}
            self._log.info("process_exited", **_fields(process), pid=pid, **how, **why)

    def _passed_limit(self) -> PassedLimit | None:
        signs = self._signs_of_life()
        now = time.monotonic()
        if signs != self._seen:
            self._seen = signs
            self._clock.sign_of_life(now, stepped=self._clock.stepped or self._a_step_is_logged())
        return self._clock.passed(now)

    def _a_step_is_logged(self) -> bool:
        return any(progress_in(process.log) is not None for process in self._ranks())

    def _signs_of_life(self) -> dict[Path, tuple[int, int]]:
        """Return size and time of change of each rank's log and of every file below checkpoint/."""
        shards = (Path(directory, name) for directory, _, names in os.walk(self._checkpoints) for name in names)
        signs = {}
        for path in (*(process.log for process in self._ranks()), *shards):
            try:
                status = path.stat()
            except OSError:  # not there yet, deleted for a newer shard, or out of reach: no sign, no reason to end
                continue
            signs[path] = (status.st_size, status.st_mtime_ns)
        return signs

    def _ranks(self) -> list[ProcessPlan]:
        return [process for process in self._plan.processes if process.role is Role.RANK]

    def _silence(self, passed: PassedLimit) -> str:
        """Say which limit was passed, and what the rank that has been quiet for longest said last."""
        what = {
            "silence": "no log line and no shard",
            "first_step": "no first step, no log line and no shard",
            "total": "not finished",
        }[passed.name]
        quietest = min(self._ranks(), key=lambda process: self._seen.get(process.log, (0, 0))[1])
        words = last_line(quietest.log) or "it logged nothing"
        limit = f"{what} for {passed.seconds:g} s (timeout.{passed.name})"
        return f"{limit}; quiet for longest is {_name(quietest)}: {words}"


def _fields(process: ProcessPlan) -> dict[str, object]:
    """Return what names a process in a log event."""
    if process.role is Role.SCHEDULER:
        return {"role": process.role}
    return {"rank": process.rank, "device": process.device}


def _name(process: ProcessPlan | ProcessExit) -> str:
    if process.role is Role.SCHEDULER:
        return "the scheduler"
    return f"rank {process.rank} on device {process.device}"


def _line(process: ProcessPlan, code: int) -> str:
    # MindSpore's scheduler exits 0 also when its cluster broke; then its last words are why a rank fails next.
    return last_line(process.log) if code == 0 and process.role is Role.RANK else last_words(process.log)


def _failure(failed: ProcessExit) -> str:
    how = f"was killed by {failed.signal}" if failed.signal else f"exited {failed.exit_code}"
    at = failed.ended.astimezone().strftime("%H:%M:%S")
    return f"{_name(failed)} {how} first ({at}): {failed.line or 'it logged nothing'}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
