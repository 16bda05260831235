"""Faults put into the operating system's calls: the N-th one of a kind fails, as the kernel would let it fail.

Only calls on paths below a given directory count, so that the interpreter's own are left alone.
"""

import builtins
import errno
import io
import os
import sqlite3
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest


class Call(StrEnum):
    """A kind of call."""

    OPEN = "open"
    WRITE = "write"
    FSYNC = "fsync"
    RENAME = "rename"
    UNLINK = "unlink"
    MKDIR = "mkdir"
    LINK = "link"
    COPY = "copy"
    COMMIT = "commit"
    """A statement of SQLite that changes something, or the end of its transaction; it is undone."""
    COMMITTED = "committed"
    """The end of a transaction that is on the disk all the same."""


NUMBERS = {
    Call.OPEN: (errno.EMFILE, errno.ENOSPC, errno.EIO, errno.EDQUOT),
    Call.WRITE: (errno.ENOSPC, errno.EIO, errno.EDQUOT),
    Call.FSYNC: (errno.EIO, errno.ENOSPC, errno.EDQUOT),
    Call.RENAME: (errno.ENOSPC, errno.EIO, errno.EDQUOT),
    Call.UNLINK: (errno.EIO, errno.ENOSPC),
    Call.MKDIR: (errno.ENOSPC, errno.EIO, errno.EDQUOT),
    Call.LINK: (errno.EIO, errno.ENOSPC, errno.EDQUOT),
    Call.COPY: (errno.ENOSPC, errno.EIO, errno.EDQUOT),
    Call.COMMIT: (0,),
    Call.COMMITTED: (0,),
}
"""What each kind can fail with, the likeliest first. SQLite's own codes are where they are raised."""

_PATH_CALLS = {
    Call.RENAME: ("rename", "replace"),
    Call.UNLINK: ("unlink", "remove", "rmdir"),
    Call.MKDIR: ("mkdir",),
    Call.LINK: ("link", "symlink"),
    Call.OPEN: ("open",),
}
_DESCRIPTOR_CALLS = {
    Call.WRITE: ("write", "pwrite", "pwritev", "ftruncate", "posix_fallocate"),
    Call.FSYNC: ("fsync", "fdatasync"),
    Call.COPY: ("copy_file_range", "sendfile"),
}


class Injection:
    """Lets calls of one kind fail, from the `first` one (counted from 1) on, `count` of them."""

    def __init__(self, call: Call, number: int, first: int, below: Path, count: int = 1) -> None:
        self.call = call
        self._error = number
        self._failing = range(first, first + count)
        self._below = str(below)
        self.is_armed = False
        self._seen = 0
        self._lock = threading.Lock()

    @property
    def fired(self) -> bool:
        """Whether a call failed: with a `first` beyond the last call, none does."""
        return self._seen >= self._failing.start

    def hit(self, path: object) -> bool:
        """Count a call on `path` (a path or a descriptor), and tell whether it is to fail."""
        if not self.is_armed or not self._is_ours(path):
            return False
        with self._lock:
            self._seen += 1
            return self._seen in self._failing

    def error(self, path: object) -> OSError:
        """Return what the call raises."""
        shown = path if isinstance(path, str | bytes | os.PathLike) else None
        return OSError(self._error, os.strerror(self._error), shown)

    def _is_ours(self, path: object) -> bool:
        if isinstance(path, int):
            try:
                path = Path(f"/proc/self/fd/{path}").readlink()
            except OSError:
                return False
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._below)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put it into place."""
        for name in (*_PATH_CALLS.get(self.call, ()), *_DESCRIPTOR_CALLS.get(self.call, ())):
            patch.setattr(os, name, self._failing_call(getattr(os, name), place=1 if name == "symlink" else 0))
        if self.call in {Call.OPEN, Call.WRITE}:
            opening = self._opening(io.open)
            patch.setattr(io, "open", opening)
            patch.setattr(builtins, "open", opening)
        if self.call in {Call.COMMIT, Call.COMMITTED}:
            patch.setattr(sqlite3, "connect", self._connecting(sqlite3.connect))

    def _failing_call(self, real: Callable[..., Any], *, place: int) -> Callable[..., Any]:
        """Return `real`, which is about the path that is its argument at `place`, as it fails."""

        def call(*arguments: object, **options: object) -> object:
            # shutil.rmtree names what it removes relative to a descriptor.
            if self.hit(arguments[place] if options.get("dir_fd") is None else options["dir_fd"]):
                raise self.error(arguments[place])
            return real(*arguments, **options)

        return call

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: object, mode: str = "r", *arguments: object, **options: object) -> object:
            if self.call is Call.OPEN:
                if self.hit(file):
                    raise self.error(file)
            elif "b" in mode and set(mode) & set("wxa+"):
                # A buffered writer's own writes do not go through os.write.
                return io.BufferedWriter(_FailingFile(self, os.fspath(file), mode.replace("b", ""), **options))  # type: ignore[call-overload]
            return real(file, mode, *arguments, **options)

        return opening

    def _connecting(self, real: Callable[..., Any]) -> Callable[..., sqlite3.Connection]:
        injection = self

        class Failing(sqlite3.Connection):
            def execute(self, sql: str, /, *parameters: object) -> sqlite3.Cursor:
                if injection.call is Call.COMMITTED:
                    done = super().execute(sql, *parameters)
                    if sql == "COMMIT" and injection.hit(injection._below):
                        raise sqlite_error(sqlite3.SQLITE_IOERR, "disk I/O error")
                    return done
                if not sql.startswith(("SELECT", "PRAGMA", "BEGIN", "ROLLBACK")) and injection.hit(injection._below):
                    raise sqlite_error(sqlite3.SQLITE_FULL, "database or disk is full")
                return super().execute(sql, *parameters)

        def connecting(*arguments: object, **options: object) -> sqlite3.Connection:
            connection: sqlite3.Connection = real(*arguments, factory=Failing, **options)
            return connection

        return connecting


Buffer = bytes | bytearray | memoryview


class _FailingFile(io.FileIO):
    def __init__(self, injection: Injection, file: str, mode: str, **options: object) -> None:
        self._injection = injection
        super().__init__(file, mode, **options)

    def write(self, data: Buffer, /) -> int:
        if self._injection.hit(self.name):
            raise self._injection.error(self.name)
        return super().write(data)


def sqlite_error(code: int, text: str) -> sqlite3.OperationalError:
    """Return the error that SQLite raises for its result code `code`."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error
