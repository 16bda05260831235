"""The store's file: SQLite, opened, checked for damage and brought to this version's schema before anybody uses it.

WAL with synchronous=FULL: what was committed is on disk.
"""

import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from daemon.core.users import User

_FIRST_SCHEMA = """
CREATE TABLE jobs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    claim     TEXT NOT NULL UNIQUE,     -- what it was made from; a second insert finds the first
    digest    TEXT NOT NULL,            -- of the dropped bytes: recognises a file dropped twice
    name      TEXT NOT NULL,
    state     TEXT NOT NULL,
    reason    TEXT NOT NULL,
    attempt   INTEGER NOT NULL,
    priority  INTEGER NOT NULL,
    devices   TEXT NOT NULL,            -- JSON array
    prefix    TEXT NOT NULL,
    cancel    INTEGER NOT NULL DEFAULT 0,   -- somebody asked to end it
    submitted TEXT NOT NULL,
    changed   TEXT NOT NULL
) STRICT;
CREATE TABLE transitions (
    job INTEGER NOT NULL REFERENCES jobs (id), at TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE device_locks (device INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id)) STRICT;
CREATE TABLE nightly (name TEXT PRIMARY KEY, due TEXT NOT NULL) STRICT;
"""
_USERS = """
CREATE TABLE users (
    job       INTEGER PRIMARY KEY REFERENCES jobs (id),
    dropped   INTEGER,                  -- the user who owned the dropped file; NULL: nobody knows
    cancelled TEXT                      -- who asked last to end it
) STRICT;
"""
MIGRATIONS = (
    _FIRST_SCHEMA,
    # By which expression `due` was counted; empty: nobody remembers. `due` is told with its zone's offset since.
    "ALTER TABLE nightly ADD COLUMN cron TEXT NOT NULL DEFAULT ''",
    # Beside the jobs, not in their rows: a newer glmd's readers can so read the store of an older daemon.
    _USERS,
)
"""What leads from each version to the next, from an empty file on."""
VERSION = len(MIGRATIONS)

_INDEXES = """
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
CREATE INDEX IF NOT EXISTS jobs_by_digest ON jobs (digest);
CREATE INDEX IF NOT EXISTS jobs_by_name ON jobs (name, submitted);
CREATE INDEX IF NOT EXISTS transitions_by_job ON transitions (job);
CREATE INDEX IF NOT EXISTS jobs_in_order ON jobs (state, priority DESC, id);
"""
"""They change no meaning, so a store of any version gets those that it lacks."""


MODE = 0o640

TEXT = partial(str, encoding="utf-8", errors="replace")
"""Makes text of a column's bytes. By itself sqlite3 gives up all rows where one is not UTF-8."""


_REMEDIES = {
    sqlite3.SQLITE_IOERR: "see to the disk (dmesg says more); {name}, -wal and -shm have to be files (ls -l)",
    sqlite3.SQLITE_FULL: "free space on its disk",
    sqlite3.SQLITE_READONLY: "see that glmd may write it, -wal and -shm (ls -l), and that their disk can be written",
    sqlite3.SQLITE_CANTOPEN: "see that glmd may open it, -wal and -shm (ls -l), and more files (ulimit -n)",
    sqlite3.SQLITE_BUSY: "end what else has it open (fuser {name})",
    sqlite3.SQLITE_LOCKED: "end what else has it open (fuser {name})",
    sqlite3.SQLITE_PROTOCOL: "end what else has it open (fuser {name})",
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
        _check(connection, path)
        _migrate(connection, path)
        _let_the_group_read(path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):  # locked, full, read-only: it may pass
            raise StoreError(f"{path}: {with_remedy(error, path)}; glmd cannot start until that is mended") from error
        if isinstance(error, sqlite3.DatabaseError):
            raise _damaged(path, str(error)) from error
        if isinstance(error, OSError):
            raise StoreError(f"{path}: {error.strerror}; glmd cannot start until that is mended") from error
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open `path` as `connect_for_reading` does. Raises StoreError for whatever stands against it."""
    try:
        return connect_for_reading(path)
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    """Return what a reader is told of `error`."""
    if type(error) is sqlite3.DatabaseError:  # of those that are not told apart, the one that means damage
        return _damaged(path, str(error))
    return StoreError(f"{path}: {error}{_advice(path)}")


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """Open `path` to read what was committed so far, without changing or creating any file.

    SQLite itself would make a `-wal` and a `-shm` that belong to whoever reads, and the daemon could not write them.
    Without a `-wal` the file is whole by itself, and nobody writes it. What a daemon that starts later writes is not
    seen: whoever waits for something opens anew each time. Raises StoreError when it is not there, and sqlite3.Error.
    """
    if not path.exists():
        raise StoreError(f"{path}: no store there; was glmd ever started with this root?")
    wal = beside(path, "wal")
    was_in_use = wal.exists()
    connection = _connect_for_reading(path, in_use=was_in_use)
    if not was_in_use and wal.exists():  # a daemon has started just now
        connection.close()
        connection = _connect_for_reading(path, in_use=True)
    return connection


def _connect_for_reading(path: Path, *, in_use: bool) -> sqlite3.Connection:
    """Open with what https://sqlite.org/uri.html and SQLite's os_unix.c offer to readers that create nothing."""
    how = "mode=ro&readonly_shm=1" if in_use else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=10.0)
    connection.text_factory = TEXT
    try:
        connection.execute("SELECT 1 FROM jobs LIMIT 1")
    except BaseException:
        connection.close()
        raise
    return connection


def _advice(path: Path) -> str:
    if beside(path, "wal").exists() and not beside(path, "shm").exists():
        return f"; {path.name}-wal is there without {path.name}-shm: start glmd, which takes over what is in it"
    return "; ask again, and if it stays so: glmd doctor --state"


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


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise DamagedStoreError for a page or an index that is wrong; reads the whole file, some 10 ms a megabyte."""
    wrong = [line for (line,) in connection.execute("PRAGMA quick_check(3)") if line != "ok"]
    if wrong:
        raise _damaged(path, "; ".join(wrong))


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(f"{path}: made by a newer glmd (schema {version}, this one knows {VERSION})")
    if version < VERSION:
        with transaction(connection):
            for migration in MIGRATIONS[version:]:
                _execute(connection, migration)
            connection.execute(f"PRAGMA user_version={VERSION}")
    with transaction(connection):
        _execute(connection, _INDEXES)


def _execute(connection: sqlite3.Connection, statements: str) -> None:
    """Execute one statement a line or more; sqlite3's executescript would end the transaction."""
    for statement in statements.split(";\n"):
        connection.execute(statement)


def _damaged(path: Path, what: str) -> DamagedStoreError:
    return DamagedStoreError(
        f"{path}: damaged: {what}; docs/troubleshooting.md, «A damaged store», has the commands that save what can be "
        f"read. Or begin with an empty one: move it away, with {path.name}-wal and -shm; job directories stay, and new "
        "jobs get numbers above theirs"
    )
