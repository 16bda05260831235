"""The store's files while a daemon has them open: somebody may remove, replace or move them under it.

SQLite goes on writing into a file that has no name any more, as if all were well; at the next start nothing of that is
there. So the daemon compares before each turn. What was removed is written back, for nobody else has it; where another
file lies in its place, what the daemon knows is saved beside it, and the daemon ends: which of both counts is for
people to say.
"""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from daemon.core.database import StoreError, beside
from daemon.core.store_copy import copy_to

_ENDINGS = ("wal", "shm")

_Inode = tuple[int, int]


class StoreReplacedError(StoreError):
    """Another file is in the place of the store that a daemon has open."""


class StoreFiles:
    """Which files they were when the daemon opened the store at `path`. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places = (path, *(beside(path, ending) for ending in _ENDINGS))
        self._opened = {place: _inode(place) for place in self._places}

    def removed(self) -> tuple[Path, ...]:
        """Return those that are gone. Raises StoreReplacedError for another file there, and OSError.

        An empty log that is another one counts as gone: anyone who reads with SQLite's own tools makes it.
        """
        now = {place: _inode(place) for place in self._places}
        changed = tuple(place for place in self._places if now[place] != self._opened[place])
        for place in changed:
            if now[place] is not None and (place == self.path or _has_content(place)):
                raise StoreReplacedError(f"{place}: another file is in its place")
        return changed


def write_back(connection: sqlite3.Connection, path: Path) -> None:
    """Give what `connection` holds its place at `path` again, whole or not at all. Raises OSError and sqlite3.Error."""
    copy_to(path, connection)
    for ending in _ENDINGS:  # of the file before: all that they hold is in this one
        beside(path, ending).unlink(missing_ok=True)


def save_beside(connection: sqlite3.Connection, path: Path) -> Path:
    """Save what `connection` holds under a name of its own, and return it. Raises OSError and sqlite3.Error."""
    saved = path.with_name(f"{path.name}.was-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    copy_to(saved, connection)
    return saved


def _inode(path: Path) -> _Inode | None:
    """Tell which file it is that has this name now; None where none has. Raises OSError."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _has_content(log: Path) -> bool:
    return log.name.endswith("-wal") and log.stat().st_size > 0
