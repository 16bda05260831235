"""The store's file: SQLite, opened, checked for damage and brought to this version's schema before anybody uses it.

WAL with synchronous=FULL: what was committed is on disk.
"""

import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from daemon.core.migrations import VERSION, indexes, statements
from daemon.core.store_copy import MODE, copy_to
from daemon.core.users import User

TEXT = partial(str, encoding="utf-8", errors="replace")
"""Makes text of a column's bytes. By itself sqlite3 gives up all rows where one is not UTF-8."""


_REMEDIES = {
    sqlite3.SQLITE_IOERR: "check the disk (dmesg says more); {name}, -wal and -shm have to be files (ls -l)",
    sqlite3.SQLITE_FULL: "free space on its disk",
    sqlite3.SQLITE_READONLY: "check that glmd may write it, -wal and -shm (ls -l), and that their disk can be written",
    sqlite3.SQLITE_CANTOPEN: "check that glmd may open it, -wal and -shm (ls -l), and more files (ulimit -n)",
    sqlite3.SQLITE_BUSY: "end the other programs that have it open (fuser {name})",
    sqlite3.SQLITE_LOCKED: "end the other programs that have it open (fuser {name})",
    sqlite3.SQLITE_PROTOCOL: "end the other programs that have it open (fuser {name})",
    sqlite3.SQLITE_NOMEM: "free memory",
}
"""What to do about what SQLite says against a store, by its primary code."""


def with_remedy(error: sqlite3.Error, path: Path) -> str:
    """Return what SQLite says, and what to do."""
    # The low byte is the primary code, see https://sqlite.org/rescode.html
    remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
    return f"{error}: {remedy.format(name=path)}" if remedy else str(error)


class StoreError(Exception):
    """The store cannot be opened or used."""


class DamagedStoreError(StoreError):
    """The store's file is no database, or a damaged one: glmd serves no root by guessing."""


class NewerStoreError(StoreError):
    """The store was written by a newer glmd, and this one knows not what it says."""


def open_database(path: Path, *, busy_seconds: float) -> sqlite3.Connection:
    """Open `path`, creating it when it is not there or empty. Raises StoreError, DamagedStoreError for damage.

    `busy_seconds` is how long a call waits for another process's lock.
    """
    _replace_what_a_reader_made(path)
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=busy_seconds)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {with_remedy(error, path)}") from error
    connection.text_factory = TEXT
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        refuse_damaged(connection, path)
        _bring_up_to_date(connection, path)
        _let_the_group_read(path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):  # locked, full, read-only: it may pass
            raise StoreError(f"{path}: {with_remedy(error, path)}; glmd cannot start until you fix this") from error
        if isinstance(error, sqlite3.DatabaseError):
            raise damaged(path, str(error)) from error
        if isinstance(error, OSError):
            raise StoreError(f"{path}: {error.strerror}; glmd cannot start until you fix this") from error
        raise
    return connection


def beside(path: Path, ending: str) -> Path:
    """Return where SQLite keeps what was committed and is not yet in the file itself, or who is at work on that."""
    return path.with_name(f"{path.name}-{ending}")


def _replace_what_a_reader_made(path: Path) -> None:
    """Remove an empty `-wal` of another user, whose reader made it, with its `-shm`; raises StoreError for a full one.

    What is in a full one was committed by a daemon that ran as that user.
    """
    for place in (path, beside(path, "wal"), beside(path, "shm")):
        try:
            status = place.lstat()
        except FileNotFoundError:
            continue
        if status.st_uid == User.of_this_process().number:
            continue
        if place == path or (place == beside(path, "wal") and status.st_size):
            owner, me = User(status.st_uid).name, User.of_this_process().name
            raise StoreError(
                f"{place}: it belongs to {owner}, and glmd runs as {me}: did it run as {owner} before? "
                f"chown {me} {path} {path}-wal {path}-shm"
            )
        place.unlink()


def _let_the_group_read(path: Path) -> None:
    """Take away what an older glmd, or the umask, gave others: who may write the store decides what glmd does."""
    for place in (path, beside(path, "wal"), beside(path, "shm")):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_IMODE(place.stat().st_mode) != MODE:
                place.chmod(MODE)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself; the first error is told
            connection.execute("ROLLBACK")
        raise


def refuse_damaged(connection: sqlite3.Connection, path: Path) -> None:
    """Raise DamagedStoreError for a page or an index that is wrong; reads the whole file, some 10 ms a megabyte."""
    wrong = [line for (line,) in connection.execute("PRAGMA quick_check(3)") if line != "ok"]
    if wrong:
        raise damaged(path, "; ".join(wrong))


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the store at `path`, 0 for an empty file. Raises NewerStoreError."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise NewerStoreError(
            f"{path}: made by a newer glmd: its schema has version {version}, and this glmd knows versions up to "
            f"{VERSION}; install the newer glmd again, or go back to an earlier copy: docs/howto-upgrade.md"
        )
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to this version, all at once or not at all."""
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for statement in statements(after=version):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={VERSION}")


def backup_of(path: Path) -> Path:
    """Return where the store lies as it was before a newer glmd changed it."""
    return path.with_name(f"{path.name}.1")


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    version = version_of(connection, path)
    if version == 0:
        migrate(connection)
    elif version < VERSION:
        backup = _back_up(connection, path)
        migrate(connection)
        import structlog  # noqa: PLC0415 - 0.2 s, for which `glmd status` has no use

        structlog.get_logger().info("store_migrated", path=path, was=version, version=VERSION, backup=backup)
    with transaction(connection):
        for statement in indexes():
            connection.execute(statement)


def _back_up(connection: sqlite3.Connection, path: Path) -> Path:
    """Keep a copy of an older store, which replaces one of before when it is whole; return it. Raises StoreError."""
    backup = backup_of(path)
    try:
        copy_to(backup, connection)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else with_remedy(error, backup)
        size = path.stat().st_size // 1_000_000 + 1
        raise StoreError(
            f"{backup}: {reason}; glmd copies the store there before it changes it for this version, and has changed "
            f"nothing. Make sure that {size} MB are free there and that no directory has that name, and start "
            "glmd again"
        ) from error
    return backup


def damaged(path: Path, what: str) -> DamagedStoreError:
    """Return what is said of a store in which `what` is wrong."""
    return DamagedStoreError(
        f"{path}: damaged: {what}; docs/troubleshooting.md, «A damaged store», has the commands that save what can be "
        f"read. Or begin with an empty one: move it away, with {path.name}-wal and -shm; job directories stay, and new "
        "jobs get numbers above theirs"
    )
