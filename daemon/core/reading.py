"""Opening the store for anyone who only reads it: with a daemon at work, without one, and of an older version, too."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from daemon.core.database import TEXT, StoreError, beside, damaged, migrate, refuse_damaged, version_of
from daemon.core.migrations import VERSION
from daemon.core.store_copy import copy_to

_TRIES = 3
"""How often a daemon may start or end while the store is opened or copied."""
_OF_WRITING = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR_WRITE: errno.EIO,
    sqlite3.SQLITE_IOERR_FSYNC: errno.EIO,
    sqlite3.SQLITE_IOERR_TRUNCATE: errno.EIO,
}
"""What SQLite says when the copy cannot be written, for the store is not."""


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open `path` to read what was committed so far, without changing or creating any file.

    SQLite itself would make a `-wal` and a `-shm` that belong to the reader, and the daemon could not write them.
    Without a `-wal` the file is whole by itself, and nobody writes it. What a daemon that starts later writes is not
    seen: anyone who waits for something opens again each time. Raises StoreError for whatever prevents it.
    """
    _refuse_absent(path)
    for _ in range(_TRIES):
        in_use = _is_in_use(path)
        try:
            connection = _open(path, in_use=in_use)
        except sqlite3.Error as error:
            if in_use == _is_in_use(path):
                raise unreadable(path, error) from error
            continue
        if in_use or not _is_in_use(path):
            return connection
        connection.close()  # a daemon has started just now
    raise StoreError(f"{path}: glmd was started or ended each time it was opened; try again")


def copy_as_it_is(path: Path, copy: Path) -> int:
    """Copy what was committed so far to the new file `copy`, in the version that it has, and return that version.

    The copy is looked through for damage. Raises StoreError for a store that cannot be used, and OSError for a
    copy that cannot be made.
    """
    _refuse_absent(path)
    for _ in range(_TRIES):
        in_use, before = _is_in_use(path), _seen(path)
        try:
            connection = _connect(path, in_use=in_use)
            with closing(connection):
                version = _known_version(connection, path)
                copy_to(copy, connection)  # in one step of SQLite's, and so of one moment
        except sqlite3.Error as error:
            if (number := _OF_WRITING.get(getattr(error, "sqlite_errorcode", 0))) is not None:
                raise OSError(number, os.strerror(number), str(copy)) from error
            if in_use == _is_in_use(path):
                raise unreadable(path, error) from error
            continue
        if in_use or (not _is_in_use(path) and _seen(path) == before):
            break  # else nobody kept a daemon that started meanwhile from writing under the copy
    else:
        raise StoreError(f"{path}: glmd was started or ended each time it was copied; try again")
    try:
        with closing(_connect(copy, in_use=False)) as connection:
            refuse_damaged(connection, path)
    except sqlite3.Error as error:
        raise unreadable(path, error) from error
    return version


def _is_in_use(path: Path) -> bool:
    """Say whether a daemon has it open, or was killed with it open: what was committed may be in the `-wal` alone.

    An empty `-wal` without `-shm` is what SQLite makes of one that a daemon removed while a reader was opening it.
    """
    try:
        return beside(path, "wal").stat().st_size > 0 or beside(path, "shm").exists()
    except FileNotFoundError:
        return False


def _seen(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _refuse_absent(path: Path) -> None:
    if not path.exists():
        raise StoreError(f"{path}: no store there; was glmd ever started with this root?")


def unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    """Return what a reader is told of `error`."""
    if type(error) is sqlite3.DatabaseError:  # of those that are not told apart, the one that means damage
        return damaged(path, str(error))
    return StoreError(f"{path}: it cannot be read now: {error}{_advice(path)}")


def _open(path: Path, *, in_use: bool) -> sqlite3.Connection:
    """Open the store, or a copy in memory of an older one, in this version's schema."""
    connection = _connect(path, in_use=in_use)
    try:
        return _of_this_version(connection, path)
    except BaseException:
        connection.close()
        raise


def _connect(path: Path, *, in_use: bool) -> sqlite3.Connection:
    """Connect with what https://sqlite.org/uri.html and SQLite's os_unix.c offer to readers that create nothing."""
    how = "mode=ro&readonly_shm=1" if in_use else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=10.0)
    connection.text_factory = TEXT
    return connection


def _of_this_version(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Return what is read of a store as this version knows it, without changing it: its daemon may be an older one."""
    return connection if _known_version(connection, path) == VERSION else _changed_copy(connection)


def _known_version(connection: sqlite3.Connection, path: Path) -> int:
    version = version_of(connection, path)
    if version == 0:
        raise StoreError(f"{path}: there is nothing of glmd's in it yet: start glmd")
    return version


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
