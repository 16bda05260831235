"""Ending all that a step has started: TERM, KILL after the grace, and then only waiting for an operator."""

import signal
import time
from collections.abc import Callable

from handlers.event_lines import Log
from handlers.shim.children import Children
from handlers.shim.wakeups import Wakeups

LOOK_EVERY = 1.0
"""Seconds between two looks at what no signal tells: the growth of logs, and the clock."""
_KILL_PATIENCE = 10.0
"""Seconds that a killed process gets to vanish; one that is still there sits in the kernel (state D)."""


class Termination:
    """Ends all descendants of this process; `collect` takes note of those that have ended."""

    def __init__(self, children: Children, wakeups: Wakeups, log: Log, collect: Callable[[], None]) -> None:
        self._children = children
        self._wakeups = wakeups
        self._log = log
        self._collect = collect

    def end(self, grace: float, *, patient: bool) -> bool:
        """Return whether all have gone; `patient` lets them leave by themselves first, for as long as the grace."""
        if patient and self._gone_within(grace):
            return True
        return self._gone_within(grace, signal.SIGTERM) or self._gone_within(_KILL_PATIENCE, signal.SIGKILL)

    def _gone_within(self, seconds: float, signum: signal.Signals | None = None) -> bool:
        """Send `signum` and wait until no descendant is left; KILL is sent again to those started meanwhile."""
        deadline = time.monotonic() + seconds
        signalled = False
        while True:
            self._collect()
            try:
                pids = self._children.pids()
                if not pids:
                    return True
                if signum is not None and not signalled:
                    self._log.info("ending_processes", signal=signum.name, pids=pids)
                if signum is not None and (signum is signal.SIGKILL or not signalled):
                    self._children.signal(signum)
                    signalled = True
            except OSError as error:  # the host has no open files left, say: it may pass, and nobody is gone for that
                self._log.error("processes_not_listed", reason=str(error))
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._wakeups.wait(min(left, LOOK_EVERY))
