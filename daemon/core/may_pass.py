"""Which errors may pass by themselves, the store's among them."""

import sqlite3

from handlers import passing_errors as passing

SQLITE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    }
)


def may_pass(error: BaseException | None) -> bool:
    """Tell whether the very same call may succeed later.

    Of SQLite's errors, damage (SQLITE_CORRUPT, SQLITE_NOTADB) does not pass, nor do defects of glmd's own.
    """
    if isinstance(error, OSError):
        return passing.may_pass(error)
    # The low byte is the primary code, see https://sqlite.org/rescode.html
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in SQLITE_CODES
