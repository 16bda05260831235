"""Whole copies of the store's file: before a newer glmd changes it, and where it was removed or replaced."""

import sqlite3
from contextlib import closing
from pathlib import Path

from handlers.ckpt.files.durable import publishing

MODE = 0o640
"""Of the store and of each copy."""


def copy_to(path: Path, connection: sqlite3.Connection) -> None:
    """Copy what `connection` holds to `path`, whole or not at all. Raises OSError and sqlite3.Error."""
    with publishing(path, mode=MODE) as stream, closing(sqlite3.connect(stream.name)) as copy:
        copy.execute("PRAGMA journal_mode=OFF")  # it has no name yet, and needs nothing to fall back on
        connection.backup(copy)
