"""The processes of a training that this shim has begun: their ends are noted, and in the end none is left."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime

import psutil  # noqa: F401 - what handlers.shim.children needs in the end, got while the ranks are starting

from handlers.event_lines import Log
from handlers.rank_log.last_words import last_line, last_words
from handlers.records.step_exit import ProcessExit, Survivor
from handlers.records.train_plan import ProcessPlan
from handlers.shim.begun import Begun, naming
from handlers.shim.survivors import describe
from handlers.shim.termination import Termination
from handlers.shim.wakeups import Wakeups


class Processes:
    """Those that were begun, on `node` where they are ranks of several nodes."""

    def __init__(self, begun: Begun, wakeups: Wakeups, log: Log, node: str | None = None) -> None:
        self._begun = begun
        self._children = begun.children
        self._wakeups = wakeups
        self._log = log
        self._node = node
        self.running = dict(begun.started)
        """By pid."""
        self.exits: list[ProcessExit] = []
        """In the order in which they ended."""

    @property
    def failed(self) -> list[ProcessExit]:
        """Those that did not end well."""
        return [exit_ for exit_ in self.exits if exit_.exit_code != 0]

    @property
    def trains(self) -> bool:
        """Whether a process with ranks runs."""
        return any(process.ranks for process in self.running.values())

    def collect(self) -> None:
        """Take note of those that have ended."""
        for pid, code in self._children.reap():
            process = self.running.pop(pid)
            rank = process.rank
            exit_ = ProcessExit(
                role=process.role,
                rank=rank.number if rank else None,
                device=rank.device if rank else None,
                pid=pid,
                exit_code=code if code >= 0 else None,
                signal=signal_name(-code) if code < 0 else None,
                ended=datetime.now(UTC),
                line=_line(process, code),
                node=self._node,
            )
            self.exits.append(exit_)
            how = {"exit_code": exit_.exit_code} if exit_.signal is None else {"signal": exit_.signal}
            why = {} if code == 0 else {"reason": exit_.line}
            self._log.info("process_exited", **naming(process), pid=pid, **how, **why)

    def end(self, grace: float, *, patient: bool, meanwhile: Callable[[], None] | None = None) -> tuple[Survivor, ...]:
        """End all descendants and return those that even KILL did not; `patient` lets them leave first.

        `meanwhile` is called at every look.
        """

        def look() -> None:
            self.collect()
            if meanwhile is not None:
                meanwhile()

        if Termination(self._children, self._wakeups, self._log, look).end(grace, patient=patient):
            return ()
        survivors = describe(self._children.pids(), self._begun.started, self._node)
        for survivor in survivors:
            self._log.error("process_survived_kill", **survivor.model_dump(exclude={"start_time", "boot_id", "node"}))
        return survivors


def _line(process: ProcessPlan, code: int) -> str:
    # MindSpore's scheduler exits 0 also when its cluster broke; then its last words are why a rank fails next.
    return last_line(process.log) if code == 0 and process.ranks else last_words(process.log)


def signal_name(number: int) -> str:
    """Return what people call a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
