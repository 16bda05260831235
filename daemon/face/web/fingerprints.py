"""What tells whether files were written since: what is made of them is read again only then."""

import time
from collections.abc import Iterable
from pathlib import Path

from daemon.core.database import beside

Fingerprint = tuple[tuple[int, int, int], ...]
"""Inode, size and time of each file; zeros of one that is not there."""

LASTS = 10.0
"""Seconds after which something is read again anyway: what runs grows older."""
_SETTLED = 100_000_000
"""Nanoseconds after which a file that is written again has another time: file systems count in steps of up to 10 ms."""


def fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Return what changes when one of these files is written. Raises OSError for what cannot be asked."""
    found = []
    for path in files:
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            found.append((0, 0, 0))
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def is_settled(found: Fingerprint) -> bool:
    """Say whether the next write will be seen: the last one is not of this very moment."""
    now = time.time_ns()
    return all(now - written > _SETTLED for _, _, written in found)


def files_of_store(store: Path) -> tuple[Path, Path]:
    """Return the files of which one is written when somebody writes the store."""
    return store, beside(store, "wal")
