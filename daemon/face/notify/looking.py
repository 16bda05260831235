"""Looks at what glmd has written down, and puts what there is to tell into the outbox."""

import time
from datetime import datetime
from pathlib import Path

import structlog

from daemon.core.database import StoreError, beside
from daemon.core.event_kinds import EventKind
from daemon.core.happened import History
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.face.notify import conditions
from daemon.face.notify.event import Event
from daemon.face.notify.lasting import Condition, look
from daemon.face.notify.news import News, news
from daemon.face.notify.outbox import Outbox
from daemon.face.notify.plan import Plan

log: structlog.stdlib.BoundLogger = structlog.get_logger()

EVERY = 30.0
"""Seconds between two looks while nothing is written: some things are told for their time alone."""
_TICK = 500_000_000
"""Nanoseconds in which files count as just written: more than a tick, less than a turn."""
_TROUBLE = frozenset({EventKind.OPERATOR_NEEDED, EventKind.FAULT_LASTING, EventKind.DAEMON_DOWN})

_Seen = tuple[tuple[int, int, int] | None, ...]


class Looking:
    """Looks whenever something was written. Its outbox says up to where it was."""

    def __init__(self, plan: Plan, outbox: Outbox) -> None:
        self.plan = plan
        self._outbox = outbox
        self._lasting = outbox.lasting()
        self._has_work = False
        self._seen: _Seen | None = None
        self._due = 0.0
        self.is_behind = False
        """Whether more was written than one look takes."""

    @property
    def is_well(self) -> bool:
        """Whether nothing lasts that glmd itself suffers from."""
        return not any(one.times_reported and one.condition.kind in _TROUBLE for one in self._lasting.values())

    def look(self, now: datetime) -> None:
        """Look, where something was written since or it is time. Raises sqlite3.Error of the outbox."""
        seen = self._fingerprint()
        if not self.is_behind and seen == self._seen and time.monotonic() < self._due:
            return
        # Of two writes in one tick of the kernel's clock, the second one leaves the time as it was.
        self._seen, self._due = None if _was_just_written(seen) else seen, time.monotonic() + EVERY
        found, present = self._read()
        self.is_behind = not found.is_all
        lasting, events = look(self._lasting, present, now)
        night, digest = self._digest(now)
        events = [*found.events, *events, *digest]
        if events or found.places or lasting != self._lasting or night:
            gone = self._outbox.gone()
            wanted = {
                one.name: [event for event in events if one.wants(event)]
                for one in self.plan.destinations
                if one.name not in gone
            }
            self._outbox.take(wanted, found.places, lasting, night)
        if events:
            log.info("events_found", count=len(events), kinds=sorted({event.kind for event in events}))
        self._lasting = lasting

    def _fingerprint(self) -> _Seen:
        root = Root(self.plan.root)
        return tuple(_stamp(path) for path in (root.store, beside(root.store, "wal"), root.daemon))

    def _read(self) -> tuple[News, list[Condition]]:
        """Return what is new in the store, and what is so now."""
        root = Root(self.plan.root)
        found = News()
        try:
            with ReadStore.open(root.store) as store:
                found = news(store, {history: self._outbox.place(history) for history in History})
                present = [*found.conditions, *conditions.of_store(store, self._lasting)]
                self._has_work = conditions.has_work(store)
        except StoreError as error:
            if root.store.exists():
                present = list(conditions.of_unreadable_store(error, self._lasting))
            else:
                present = list(conditions.of_no_store(self._lasting))
        present += conditions.of_disk(root.path)
        present += conditions.of_daemon(root, self._lasting, has_work=self._has_work)
        return found, present

    def _digest(self, now: datetime) -> tuple[str, list[Event]]:
        """Return the night whose digest is due and was not made yet, and that digest."""
        local = now.astimezone()
        night = local.date().isoformat()
        if self.plan.morning is None or local.time() < self.plan.morning or self._outbox.has_digest(night):
            return "", []
        # In the first morning that it sees it was not there in the night.
        is_new = self._outbox.place(History.TRANSITIONS) is None
        return night, [] if is_new else [Event(EventKind.DIGEST, f"digest:{night}", now, night)]


def _was_just_written(seen: _Seen) -> bool:
    now = time.time_ns()
    return any(stamp is not None and abs(now - stamp[2]) < _TICK for stamp in seen)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
