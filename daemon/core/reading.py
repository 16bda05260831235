"""Opening the store for whoever only reads it: with a daemon at work, without one, and of an older version, too."""

import sqlite3
from contextlib import closing
from pathlib import Path

from daemon.core.database import TEXT, StoreError, beside, damaged, migrate, version_of
from daemon.core.migrations import VERSION


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open `path` to read what was committed so far, without changing or creating any file.

    SQLite itself would make a `-wal` and a `-shm` that belong to whoever reads, and the daemon could not write them.
    Without a `-wal` the file is whole by itself, and nobody writes it. What a daemon that starts later writes is not
    seen: whoever waits for something opens anew each time. Raises StoreError for whatever stands against it.
    """
    if not path.exists():
        raise StoreError(f"{path}: no store there; was glmd ever started with this root?")
    wal = beside(path, "wal")
    try:
        was_in_use = wal.exists()
        connection = _open(path, in_use=was_in_use)
        if not was_in_use and wal.exists():  # a daemon has started just now
            connection.close()
            connection = _open(path, in_use=True)
    except sqlite3.Error as error:
        raise unreadable(path, error) from error
    return connection


def unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    """Return what a reader is told of `error`."""
    if type(error) is sqlite3.DatabaseError:  # of those that are not told apart, the one that means damage
        return damaged(path, str(error))
    return StoreError(f"{path}: it cannot be read now: {error}{_advice(path)}")


def _open(path: Path, *, in_use: bool) -> sqlite3.Connection:
    """Open with what https://sqlite.org/uri.html and SQLite's os_unix.c offer to readers that create nothing."""
    how = "mode=ro&readonly_shm=1" if in_use else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=10.0)
    connection.text_factory = TEXT
    try:
        return _of_this_version(connection, path)
    except BaseException:
        connection.close()
        raise


def _of_this_version(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Return what is read of a store as this version knows it, without changing it: its daemon may be an older one."""
    version = version_of(connection, path)
    if version == 0:
        raise StoreError(f"{path}: there is nothing of glmd's in it yet: start glmd")
    return connection if version == VERSION else _changed_copy(connection)


def _changed_copy(older: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy in memory that the steps have brought to this version, so that all readers know one schema.

    Of a hundred thousand jobs it takes 0.2 s and 70 MB, each time, until the daemon of the new version is started.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None)
    copy.text_factory = TEXT
    try:
        with closing(older):
            older.backup(copy)
        migrate(copy)
        copy.execute("PRAGMA query_only=ON")
    except BaseException:
        copy.close()
        raise
    return copy


def _advice(path: Path) -> str:
    if beside(path, "wal").exists() and not beside(path, "shm").exists():
        return f"; {path.name}-wal is there without {path.name}-shm: start glmd, which takes over what is in it"
    return "; ask again, and if it stays so: glmd doctor --state"
