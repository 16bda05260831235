"""The outbox's file: opened, made where it is not there, and refused where it says nothing that this glmd knows."""

import os
import sqlite3
from pathlib import Path

from daemon.core.database import with_remedy
from handlers.codes import Code
from handlers.errors import HandlerError

NAME = "outbox.db"
_MODE = 0o600
_VERSION = 1
_BUSY_SECONDS = 2.0
_SCHEMA = Path(__file__).with_name("outbox.sql")


class OutboxError(HandlerError):
    """The outbox cannot be used."""

    code = Code.NOTIFY_OUTBOX


def open_outbox(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open `path`, which is made unless `create` is false. Raises OutboxError."""
    try:
        os.close(os.open(path, os.O_RDWR | (os.O_CREAT if create else 0) | os.O_CLOEXEC, _MODE))
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    except OutboxError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, _VERSION}:
        raise OutboxError(f"{path}: made by a newer glmd (version {version}); install that, or move the file away")
    if version == 0:
        connection.executescript(_SCHEMA.read_text(encoding="utf-8"))


def _unusable(path: Path, error: OSError | sqlite3.Error) -> OutboxError:
    if isinstance(error, OSError):
        return OutboxError(
            f"{path}: {error.strerror}; glmd-notify keeps it where only root may read it: sudo glmd notify …, or name "
            "its directory by --state"
        )
    return OutboxError(
        f"{path}: {with_remedy(error, path)}; where it is damaged, move it away with {path.name}-wal and -shm: "
        "waiting messages are lost then, and glmd-notify starts from now"
    )
