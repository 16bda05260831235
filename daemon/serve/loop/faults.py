"""Faults that may pass: what failed is left alone for a moment, tried again, and shown until it succeeds.

A full disk, too many open files, a database that is locked: none is a reason for the daemon to end, nor for a job. Each
attempt is about one thing (a room, a claim, a job), so that what ails one of them holds up no other.

Nor is a defect of glmd's own that one of them brings to light. Its thing is set aside, by what the caller says is to be
done with it, or else left alone for longer and longer; the traceback is logged.
"""

import sqlite3
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from daemon.core.daemon_record import PresentFault
from daemon.core.database import StoreError
from daemon.core.error_codes import code_of
from daemon.core.may_pass import SQLITE_CODES
from daemon.serve.loop.singleton import LockLostError
from handlers.codes import Code
from handlers.host.shortages import shortage
from handlers.printable import printable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 10.0
"""Seconds between two attempts; well below the watchdog's patience, for signs of life are attempts too."""
LONGEST_REST = 60.0
"""Seconds between two attempts at what has met a defect, which hardly passes by itself."""
FORGOTTEN = 300.0
"""Seconds after which a fault that nobody tries to fix is about something that is gone."""
SHOWN = 3
LONGEST_REASON = 1000
"""Characters."""


_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def concerns_the_store(error: Exception) -> bool:
    """Tell whether it is about the whole store, or who may write it: it is locked, full, damaged, away, another's.

    A row's own fault is not.
    """
    if isinstance(error, (StoreError, LockLostError)):
        return True
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and code in SQLITE_CODES | _DAMAGE


@dataclass(frozen=True)
class Defect:
    """An exception that nobody foresaw."""

    error: Exception

    CODE = Code.GLMD_DEFECT

    @property
    def reason(self) -> str:
        """Say in one line what it is, for people."""
        return _shortened(f"{self.CODE}: a defect in glmd: {type(self.error).__name__}: {self.error}")

    @property
    def traceback(self) -> str:
        """Return where it came from, for anyone who fixes it."""
        return "".join(traceback.format_exception(self.error))


def _shortened(text: str) -> str:
    """Return `text` in one line that rows, packets and people take, whatever somebody has written into it."""
    line = printable(text)
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


Aside = Callable[[Defect], object]


@dataclass(frozen=True)
class _Fault:
    reason: str
    pause: float
    due: float
    """When to try again, on the monotonic clock."""
    code: str
    since: datetime
    """When it failed first."""


class Faults:
    """What fails at present, by what it is about. For one thread."""

    def __init__(self, first_pause: float = FIRST_PAUSE, longest_pause: float = LONGEST_PAUSE) -> None:
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._present: dict[str, _Fault] = {}
        self._defects = 0
        self._newest = ""

    def attempt(self, what: str, work: Callable[[], object], aside: Aside | None = None) -> bool:
        """Do `work` as `contain` does, unless `what` failed a moment ago; return whether it was done."""
        if self.is_paused(what) or not self.contain(what, work, aside):
            return False
        self.passed(what)
        return True

    def contain(self, what: str, work: Callable[[], object], aside: Aside | None = None) -> bool:
        """Do `work`; return whether it was done. What the host or its kernel denies is a fault, anything else a defect.

        What concerns the whole store is raised.
        """
        try:
            work()
        except OSError as error:
            self.failed(what, error)
        except Exception as error:
            if concerns_the_store(error):
                raise
            if shortage(error):  # no threads, no memory: the host's fault
                self.failed(what, error)
            else:
                self.defect(what, error, aside)
        else:
            return True
        return False

    def defect(self, what: str, error: Exception, aside: Aside | None = None) -> Defect:
        """Log that `what` met a defect, and let `aside` set it aside; without it, or where that fails, it is paused."""
        found = Defect(error)
        log.error("defect", what=what, code=Defect.CODE, reason=found.reason, exc_info=error)
        self._defects += 1
        self._newest = f"{what}: {found.reason}"
        if aside is None:
            self._pause(what, found.reason, LONGEST_REST, Defect.CODE)
        elif self.contain(what, lambda: aside(found)):
            self.passed(what)
        return found

    def failed(self, what: str, error: Exception) -> None:
        """Log that `what` failed; it is paused, for twice as long as after the time before."""
        self._pause(what, _shortened(str(error)), self._longest_pause, code_of(error))

    def retry_all(self) -> None:
        """Let everything be tried at once: somebody may have fixed it."""
        self._present = {what: replace(fault, due=time.monotonic()) for what, fault in self._present.items()}

    def _pause(self, what: str, reason: str, longest: float, code: str) -> None:
        before = self._present.get(what)
        pause = self._first_pause if before is None else min(2 * before.pause, longest)
        since = datetime.now(UTC) if before is None else before.since
        self._present[what] = _Fault(reason, pause, time.monotonic() + pause, code, since)
        log.error("fault", what=what, code=code, reason=reason, again_in_seconds=pause)

    def passed(self, what: str) -> None:
        """Note that `what` succeeded."""
        if self._present.pop(what, None) is not None:
            log.info("fault_passed", what=what)

    def is_paused(self, what: str) -> bool:
        """Tell whether `what` failed a moment ago and is not to be tried yet."""
        fault = self._present.get(what)
        return fault is not None and time.monotonic() < fault.due

    def since(self, what: str) -> datetime:
        """Return since when `what` fails, in local time; now, where it does not."""
        fault = self._present.get(what)
        moment = datetime.now(UTC) if fault is None else fault.since
        return moment.astimezone().replace(tzinfo=None)

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds something is to be tried again; None when nothing is."""
        self._present = {what: fault for what, fault in self._present.items() if now < fault.due + FORGOTTEN}
        return min((fault.due - now for fault in self._present.values() if fault.due > now), default=None)

    def present(self, *, besides: str) -> list[PresentFault]:
        """Return what fails at present, the first that failed first, but for what `besides` names."""
        return [
            PresentFault(_shortened(what), fault.code, fault.reason, fault.since)
            for what, fault in self._present.items()
            if what != besides
        ]

    @property
    def summary(self) -> str:
        """Say in one line what fails at present; empty when nothing does."""
        shown = [f"{what}: {fault.reason}" for what, fault in list(self._present.items())[:SHOWN]]
        more = [f"{len(self._present) - SHOWN} more"] if len(self._present) > SHOWN else []
        return "; ".join([*shown, *more, *self._met])

    @property
    def _met(self) -> list[str]:
        """Say how many defects were met since the start; they may be set aside, but are to be fixed."""
        number = "a defect" if self._defects == 1 else f"{self._defects} defects"
        return [f"{number} of glmd met, see its log; the newest: {self._newest}"] if self._defects else []
