"""What was read of the store, kept until somebody has written it: many may look, and seldom does anything change."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from daemon.core.database import beside

LASTS = 10.0
"""Seconds after which it is read anew all the same: what runs grows older."""
MOST = 32
_SETTLED = 100_000_000
"""Nanoseconds after which a file that is written again has another time: file systems count in steps of up to 10 ms."""

_T = TypeVar("_T")
_Fingerprint = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class _Read:
    fingerprint: _Fingerprint
    at: float
    value: object


class Kept:
    """The newest reads, by what they are of."""

    def __init__(self, lasts: float = LASTS, most: int = MOST) -> None:
        self._lasts = lasts
        self._most = most
        self._reads: OrderedDict[Hashable, _Read] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, what: Hashable, store: Path, read: Callable[[], _T]) -> _T:
        """Return what `read` has returned, if `store` is as it was then; else what it returns now."""
        fingerprint, now = _fingerprint(store), time.monotonic()
        with self._lock:
            known = self._reads.get(what)
            if known is not None and known.fingerprint == fingerprint and now - known.at < self._lasts:
                self._reads.move_to_end(what)
                return cast("_T", known.value)
        value = read()
        if _is_settled(fingerprint):
            with self._lock:
                self._reads[what] = _Read(fingerprint, now, value)
                self._reads.move_to_end(what)
                while len(self._reads) > self._most:
                    self._reads.popitem(last=False)
        return value


def _fingerprint(store: Path) -> _Fingerprint:
    """Return what changes when the store is written: its file's, and its log's."""
    found = []
    for path in (store, beside(store, "wal")):
        try:
            status = path.stat()
        except FileNotFoundError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def _is_settled(fingerprint: _Fingerprint) -> bool:
    """Say whether the next write will be seen: the last one is not of this very moment."""
    return all(time.time_ns() - written > _SETTLED for _, _, written in fingerprint)
