"""Runs the processes of a training to their common end: all finish, or none is left."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.codes import Code
from handlers.event_lines import Log
from handlers.rank_log.divergence import Diverged
from handlers.rank_log.last_words import last_line, no_words
from handlers.rank_log.phase import Phase
from handlers.records.step_exit import Diagnosis, Divergence, Outcome, ProcessExit, Silences, Survivor
from handlers.shim.begun import Begun, rank_name
from handlers.shim.blame import Blame, advice, blame, witnesses_of
from handlers.shim.divergence import DIAGNOSIS, since_when
from handlers.shim.limit_clock import LimitClock, PassedLimit
from handlers.shim.orders import BySignal, Order, Orders, order_of
from handlers.shim.processes import Processes
from handlers.shim.stacks import save_stacks, stopped
from handlers.shim.step_recorder import StepRecorder
from handlers.shim.survivors import operator_needed
from handlers.shim.termination import LOOK_EVERY
from handlers.shim.wakeups import Wakeups


@dataclass(frozen=True)
class StepEnd:
    """How the work of a step ended. `processes`, of a training, are in the order of their ends."""

    outcome: Outcome
    reason: str
    code: str = ""
    """Empty where it completed."""
    first: ProcessExit | None = None
    diagnosis: Diagnosis | None = None
    divergence: Divergence | None = None
    limit: str | None = None
    """Which of `timeout.…` was passed."""
    processes: tuple[ProcessExit, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    nodes_without_record: tuple[str, ...] = ()
    nodes_unfit: tuple[str, ...] = ()
    silences: Silences | None = None
    metrics: Mapping[str, float] | None = None
    """What an evaluation has measured."""


def supervise(begun: Begun, stacks: Path, wakeups: Wakeups, log: Log, recorder: StepRecorder | None = None) -> StepEnd:
    """Wait for the processes that were begun, and leave none behind, whatever happens.

    A process that fails, a time limit that passes, a training that diverges or a stop signal ends the others at once:
    TERM, and KILL after the plan's grace. `stacks` is where each rank of a hung training is written down; `recorder`
    looks at what they print, and has its last look when all are gone. Must run in the main thread, as `begin`.
    """
    training = _Training(begun, stacks, wakeups, log, recorder)
    patient = False
    try:
        end = training.not_begun() or training.watch()
        patient = end.outcome is Outcome.COMPLETED
    finally:
        survivors = training.end(patient=patient)
        if recorder is not None:
            recorder.finish()
    return training.report(end, survivors)


class _Training:
    def __init__(self, begun: Begun, stacks: Path, wakeups: Wakeups, log: Log, recorder: StepRecorder | None) -> None:
        self._begun = begun
        self._recorder = recorder
        self._plan = begun.plan
        self._stacks = stacks
        self._wakeups = wakeups
        self._log = log
        self._processes = Processes(begun, wakeups, log)
        self._orders: Orders = BySignal(wakeups)
        self._guilty: Blame | None = None
        self._clock = LimitClock(begun.plan.limits, begun.at)
        self._signs = begun.signs

    def not_begun(self) -> StepEnd | None:
        """Return how the training ended when not all of it could be started."""
        if self._begun.stopped is not None:
            return ordered(order_of(self._begun.stopped))
        return StepEnd(Outcome.FAILED, self._begun.failure, Code.RANK_NOT_STARTED) if self._begun.failure else None

    def watch(self) -> StepEnd:
        """Wait until there is a reason to end the training, or it has ended well."""
        while True:
            self._processes.collect()
            failed = self._processes.failed
            if not failed and not self._processes.trains:
                self._look()
                return StepEnd(Outcome.COMPLETED, "", silences=self._silences())
            # A stop is asked about before a failure: who stops a whole unit or terminal signals the ranks as well.
            if (order := self._orders.stop()) is not None:
                return ordered(order)
            if failed:
                return self._failed(failed)
            self._look()
            if (diverged := self._diverged()) is not None:
                return diverged
            passed = self._clock.passed()
            if passed is not None:
                return StepEnd(Outcome.TIMED_OUT, self._hung(passed), passed.code, limit=passed.setting)
            self._wakeups.wait(min(self._clock.seconds_left(), LOOK_EVERY))

    def end(self, *, patient: bool) -> tuple[Survivor, ...]:
        """End all descendants and return those that even KILL did not; `patient` lets them leave first."""
        return self._processes.end(self._plan.grace, patient=patient)

    def report(self, end: StepEnd, survivors: tuple[Survivor, ...]) -> StepEnd:
        """Return `end` with all that happened since, and what became known only when all was read."""
        diverged = self._diverged()
        if diverged is not None:
            end = diverged if end.outcome is Outcome.COMPLETED else replace(end, divergence=diverged.divergence)
        first = None if self._guilty is None else self._guilty.exit_among(self._processes.exits)
        return with_survivors(replace(end, first=first, processes=tuple(self._processes.exits)), survivors)

    def _look(self) -> None:
        self._clock.look(time.monotonic())
        if self._recorder is not None:
            self._recorder.look()
        sign = self._signs.look()
        if sign is not None:
            self._clock.sign_of_life(sign.phase)

    def _diverged(self) -> StepEnd | None:
        return None if self._recorder is None else diverged_end(self._recorder.diverged)

    def _failed(self, failed: list[ProcessExit]) -> StepEnd:
        witnesses = witnesses_of(failed, self._begun.started, oom_kills=self._begun.oom_kills_since())
        self._guilty = found = blame(witnesses)
        return StepEnd(Outcome.FAILED, found.reason, found.code, diagnosis=found.diagnosis)

    def _silences(self) -> Silences:
        self._clock.sign_of_life()  # the end is one
        longest = {phase.value: self._clock.longest(phase) for phase in Phase}
        return Silences(configuration=self._plan.configuration, **longest)

    def _hung(self, passed: PassedLimit) -> str:
        """Say which limit was passed at what, and of the rank quiet for longest what it said last and where it is."""
        ranks = {pid: process.rank for pid, process in self._processes.running.items() if process.rank is not None}
        frames = save_stacks(ranks, self._stacks, self._log)
        quietest = self._signs.quietest(stopped(frames))
        words = last_line(quietest.log) or no_words(quietest.log)
        return passed.reason(self._plan.limits, rank_name(quietest), words, frames.get(quietest.number))


def ordered(order: Order) -> StepEnd:
    """Return how a training ended that was told to."""
    return StepEnd(order.outcome, order.reason, order.code)


def diverged_end(found: Diverged | None) -> StepEnd | None:
    """Return how a training ended that has diverged; None for one that has not."""
    if found is None:
        return None
    reason = f"{found.reason}; {advice(DIAGNOSIS)}"
    return StepEnd(
        Outcome.FAILED, reason, Code.TRAINING_DIVERGED, diagnosis=DIAGNOSIS, divergence=since_when(found)
    )  # fmt: skip


def with_survivors(end: StepEnd, survivors: tuple[Survivor, ...]) -> StepEnd:
    """Return `end` of a training that has left processes which even KILL did not end, if it has."""
    needed = operator_needed(survivors) if survivors else ""
    return replace(
        end,
        reason="; ".join(part for part in (needed, end.reason) if part),
        code=Code.SHIM_SURVIVORS if survivors else end.code,
        survivors=survivors,
    )
