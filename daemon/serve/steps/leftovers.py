"""Ending what a shim that is gone has left behind: TERM, KILL after the grace, then only waiting for an operator."""

import contextlib
import signal
import time
from collections.abc import Collection, Sequence

import structlog

from daemon.core.living import Run
from handlers.records.process import ProcessIdentity

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MOMENT = 0.3
"""Seconds in which what the kernel ends together with its shim is gone."""
KILL_PATIENCE = 10.0
"""Seconds that a killed process gets to vanish; one that is still there sits in the kernel (state D)."""


class Leftovers:
    """Ends the processes of runs. It never waits: the caller asks again in its next turn."""

    def __init__(self) -> None:
        self._began: dict[Run, float] = {}
        self._until = 0.0
        self._asked: dict[Run, set[tuple[ProcessIdentity, signal.Signals]]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether something is being ended: turn again soon."""
        return time.monotonic() < self._until

    def end(self, run: Run, processes: Sequence[ProcessIdentity], grace: float) -> bool:
        """Signal what `run` has left; return whether there is nothing more to be done about it."""
        now = time.monotonic()
        after = now - self._began.setdefault(run, now)
        self._until = max(self._until, now - after + grace + KILL_PATIENCE)
        if after < MOMENT:
            return False
        how = signal.SIGTERM if after < grace else signal.SIGKILL
        asked = self._asked.setdefault(run, set())
        for one in processes:
            if (one, how) not in asked:
                asked.add((one, how))
                log.warning("ending_leftover", job=run.job, attempt=run.attempt, pid=one.pid, signal=how.name)
                with contextlib.suppress(PermissionError):  # it changed its user, and stays
                    one.signal(how)
        return after >= grace + KILL_PATIENCE

    def of(self, run: Run) -> tuple[int, ...]:
        """Return the pids that `run` had left."""
        return tuple(sorted({one.pid for one, _ in self._asked.get(run, ())}))

    def forget(self, but: Collection[Run]) -> None:
        """Have nothing more to do with any run but these."""
        self._began = {run: began for run, began in self._began.items() if run in but}
        self._asked = {run: asked for run, asked in self._asked.items() if run in but}
        self._until = self._until if self._began else 0.0
