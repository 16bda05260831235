"""Which file systems answer: a dead one gets two processes at most, and all dead ones together a few."""

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from handlers.records.process import has_ended

AT_ONCE = 2
"""Processes within one mount, those that were given up there included."""
MOST_GIVEN_UP = 32
"""In all. With more, only what has answered before is entered."""
PAUSE = 30.0
"""Seconds until one that did not answer is tried again."""


@dataclass(frozen=True)
class _Silence:
    since: datetime
    again: float
    """When it may be tried, on the monotonic clock."""


@dataclass(frozen=True)
class _GivenUp:
    mount: str
    pidfd: int


class Mounts:
    """For many threads, each of which speaks for one process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = Counter[str]()
        self._silent: dict[str, _Silence] = {}
        self._answered: set[str] = set()
        self._given_up: list[_GivenUp] = []

    def enter(self, mount: str, patience: float) -> str:
        """Let a process into `mount`, as soon as others have come out; return why it may not, or nothing."""
        deadline = time.monotonic() + patience
        with self._changed:
            while not (why := self._refusal(mount)):
                if self._inside[mount] + self._lost_in(mount) < AT_ONCE:
                    self._inside[mount] += 1
                    return ""
                if not self._changed.wait(deadline - time.monotonic()):
                    return "others wait for its file system to answer"
            return why

    def left(self, mount: str) -> None:
        """Take note that a process has come out: it answers."""
        with self._changed:
            self._inside[mount] -= 1
            self._silent.pop(mount, None)
            self._answered.add(mount)
            self._changed.notify_all()

    def fell_silent(self, mount: str, began: datetime) -> None:
        """Take note that a process in `mount` gets no answer since `began`."""
        with self._changed:
            before = self._silent.get(mount)
            self._silent[mount] = _Silence(before.since if before else began, time.monotonic() + PAUSE)
            self._changed.notify_all()

    def ended(self, mount: str) -> None:
        """Take note that a process has ended, perhaps within a mount, of which nobody knows then whether it answers."""
        with self._changed:
            if mount:
                self._inside[mount] -= 1
                self._changed.notify_all()

    def given_up(self, mount: str, pidfd: int) -> None:
        """Take note that a process was killed and does not end; its `pidfd` is closed when it does.

        `mount` is empty where nobody knows what it waits for.
        """
        with self._changed:
            self._given_up.append(_GivenUp(mount, pidfd))
            if mount:
                self._inside[mount] -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Close all descriptors."""
        with self._changed:
            for process in self._given_up:
                os.close(process.pidfd)
            self._given_up.clear()

    def _refusal(self, mount: str) -> str:
        lost = self._lost_in(mount)
        silence = self._silent.get(mount)
        if silence is not None and (lost >= AT_ONCE or time.monotonic() < silence.again):
            return does_not_answer(silence.since)
        if len(self._given_up) >= MOST_GIVEN_UP and mount not in self._answered:
            return (
                f"glmd does not try its file system while {len(self._given_up)} processes wait for others "
                "that do not answer"
            )
        return ""

    def _lost_in(self, mount: str) -> int:
        """Return how many processes that were given up are in `mount` still."""
        for process in [process for process in self._given_up if has_ended(process.pidfd)]:
            os.close(process.pidfd)
            self._given_up.remove(process)
        return sum(process.mount == mount for process in self._given_up)


def does_not_answer(since: datetime) -> str:
    """Say it of a file system."""
    return f"its file system does not answer since {since:%Y-%m-%d %H:%M:%S}"
