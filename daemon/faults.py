"""Faults that may pass: what failed is left alone for a moment, tried again, and shown until it succeeds.

A full disk, too many open files, a database that is locked: none is a reason for the daemon to end, nor for a job. Each
attempt is about one thing (a room, a claim, a job), so that what ails one of them holds up no other.
"""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from handlers import passing
from handlers.events import printable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 10.0
"""Seconds between two attempts; well below the watchdog's patience, for signs of life are attempts too."""
FORGOTTEN = 300.0
"""Seconds after which a fault that nobody tries to mend is about something that is gone."""
SHOWN = 3

_SQLITE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    }
)


def may_pass(error: BaseException | None) -> bool:
    """Tell whether the very same call may succeed later.

    Of SQLite's errors, damage (SQLITE_CORRUPT, SQLITE_NOTADB) does not pass, nor do defects of glmd's own.
    """
    if isinstance(error, OSError):
        return passing.may_pass(error)
    # The low byte is the primary code, see https://sqlite.org/rescode.html
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_CODES


@dataclass(frozen=True)
class _Fault:
    reason: str
    pause: float
    due: float
    """When to try again, on the monotonic clock."""


class Faults:
    """What fails at present, by what it is about. For one thread."""

    def __init__(self, first_pause: float = FIRST_PAUSE, longest_pause: float = LONGEST_PAUSE) -> None:
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._present: dict[str, _Fault] = {}

    def attempt(self, what: str, work: Callable[[], object]) -> bool:
        """Do `work` unless `what` failed a moment ago; return whether it was done. An OSError of it is a fault."""
        if self.is_paused(what):
            return False
        try:
            work()
        except OSError as error:
            self.failed(what, error)
            return False
        self.passed(what)
        return True

    def failed(self, what: str, error: Exception) -> None:
        """Log that `what` failed; it is paused, for twice as long as after the time before."""
        before = self._present.get(what)
        pause = self._first_pause if before is None else min(2 * before.pause, self._longest_pause)
        reason = printable(str(error))
        self._present[what] = _Fault(reason, pause, time.monotonic() + pause)
        log.error("fault", what=what, reason=reason, again_in_seconds=pause)

    def passed(self, what: str) -> None:
        """Note that `what` succeeded."""
        if self._present.pop(what, None) is not None:
            log.info("fault_passed", what=what)

    def is_paused(self, what: str) -> bool:
        """Tell whether `what` failed a moment ago and is not to be tried yet."""
        fault = self._present.get(what)
        return fault is not None and time.monotonic() < fault.due

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds something is to be tried again; None when nothing is."""
        self._present = {what: fault for what, fault in self._present.items() if now < fault.due + FORGOTTEN}
        return min((fault.due - now for fault in self._present.values() if fault.due > now), default=None)

    @property
    def summary(self) -> str:
        """Say in one line what fails at present; empty when nothing does."""
        shown = [f"{what}: {fault.reason}" for what, fault in list(self._present.items())[:SHOWN]]
        more = [f"{len(self._present) - SHOWN} more"] if len(self._present) > SHOWN else []
        return "; ".join([*shown, *more])
