"""What the daemon says of itself to anyone who reads its root: daemon.json, as it stands at the end of a turn."""

import importlib.metadata
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from daemon.core.daemon_record import MOST_FAULTS, DaemonRecord, NextNight
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from handlers.ckpt.files.durable import publish_bytes
from handlers.records.process import ProcessIdentity

LEAST_PAUSE = 1.0
"""Seconds between two writings: what changes meanwhile is in the second."""
NIGHTS_EVERY = timedelta(hours=1)
"""How often it is asked when the cycles come next, though none has come: the host's zone may have been set."""

Nights = Callable[[datetime], Iterable[NextNight]]
"""Tells when the cycles come next after a moment."""


class DaemonFile:
    """Replaces daemon.json when something in it has changed, or somebody has removed it. For the loop's thread.

    That it cannot is a fault, of which it tells nothing itself: a full disk must not be written to again and again.
    """

    def __init__(self, path: Path, has_root: Callable[[], bool], faults: Faults, now: datetime) -> None:
        """`has_root` says whether the directory is the daemon's still: what lies in another one is not its own."""
        self._path = path
        self._has_root = has_root
        self._faults = faults
        self._record = DaemonRecord(
            version=importlib.metadata.version("glmd"),
            process=ProcessIdentity.of(os.getpid()),
            started=now,
            settings_read=now,
            devices=(),
        )
        self._nights: Nights = lambda _: ()
        self._nights_asked: datetime | None = None
        self._written: tuple[DaemonRecord, tuple[int, int]] | None = None
        """What it says, and which file it is."""
        self._not_before = 0.0
        self._is_late = False

    def settings_read(self, devices: Sequence[int], nights: Nights, now: datetime) -> None:
        """Take what the settings say that count from now on."""
        self._record = replace(self._record, settings_read=now, devices=tuple(devices))
        self._nights, self._nights_asked = nights, None

    def turn(self, now: Moment) -> None:
        """Write it where that is to be done."""
        self._faults.attempt(self._path.name, partial(self._turn, now))

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds it is to be written; None where it says what there is to say."""
        return max(0.0, self._not_before - now) if self._is_late else None

    def stop(self, now: datetime) -> None:
        """Say that the daemon ends as it was told to."""
        self._record = replace(self._record, stopped=now)
        self._faults.contain(self._path.name, self._write)

    def _turn(self, now: Moment) -> None:
        faults = self._faults.present(besides=self._path.name)
        self._record = replace(self._record, faults=tuple(faults[:MOST_FAULTS]), cycles=self._cycles(now.wall))
        is_due = self._written != (self._record, self._there())
        self._is_late = is_due and now.monotonic < self._not_before
        if is_due and not self._is_late:
            self._not_before = now.monotonic + LEAST_PAUSE
            self._write()

    def _cycles(self, now: datetime) -> tuple[NextNight, ...]:
        """Return when each comes next; asked again where one has come, or a clock was set."""
        asked, cycles = self._nights_asked, self._record.cycles
        if asked is None or not asked <= now < min((asked + NIGHTS_EVERY, *(night.next_due for night in cycles))):
            self._nights_asked, cycles = now, tuple(self._nights(now))
        return cycles

    def _write(self) -> None:
        if self._has_root():
            # Not to last: of what is written here, nothing is true after a power cut.
            publish_bytes(self._path, self._record.content(), lasting=False)
            self._written = self._record, self._there()

    def _there(self) -> tuple[int, int]:
        try:
            status = self._path.lstat()
        except FileNotFoundError:
            return 0, 0
        return status.st_dev, status.st_ino
