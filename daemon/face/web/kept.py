"""What was read of the store, kept until somebody has written it: many may look, and seldom does anything change."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from daemon.face.web.fingerprints import LASTS, Fingerprint, files_of_store, fingerprint, is_settled

MOST = 32

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Read:
    fingerprint: Fingerprint
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
        stands, now = fingerprint(files_of_store(store)), time.monotonic()
        with self._lock:
            known = self._reads.get(what)
            if known is not None and known.fingerprint == stands and now - known.at < self._lasts:
                self._reads.move_to_end(what)
                return cast("_T", known.value)
        value = read()
        if is_settled(stands):
            with self._lock:
                self._reads[what] = _Read(stands, now, value)
                self._reads.move_to_end(what)
                while len(self._reads) > self._most:
                    self._reads.popitem(last=False)
        return value
