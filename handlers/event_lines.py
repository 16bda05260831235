"""Log events as lines of JSON, and a logger that writes them: what a shim needs, for structlog takes long to import."""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from handlers.printable import printable_json, printable_lines

_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""A FIFO in the file's place is an error, and nothing to wait for."""


class Log(Protocol):
    """What takes events: this module's logger, or one of structlog's."""

    def info(self, event: str, /, **fields: object) -> object:
        """Tell what happens."""

    def warning(self, event: str, /, **fields: object) -> object:
        """Tell what somebody may have to look at."""

    def error(self, event: str, /, **fields: object) -> object:
        """Tell what went wrong."""

    def exception(self, event: str, /, **fields: object) -> object:
        """Tell what went wrong, with the traceback of the exception that is being handled."""


class EventLog:
    """Writes each event to standard error, for the journal, and if there is a `path` to that file, too."""

    def __init__(self, path: Path | None = None, **bound: object) -> None:
        self._path = path
        self._bound = bound

    def info(self, event: str, /, **fields: object) -> None:
        """Write an event."""
        self._write("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Write a warning."""
        self._write("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Write an error."""
        self._write("error", event, fields)

    def exception(self, event: str, /, **fields: object) -> None:
        """Write an error, and the traceback of the exception that is being handled."""
        self._write("error", event, {**fields, "exception": traceback.format_exc().rstrip()})

    def _write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        record: dict[str, object] = {**self._bound, **fields, "event": event, "level": level, "timestamp": now}
        if self._path is not None:
            try:
                append(self._path, line(record))
            except OSError as error:  # standard error does not need the job's disk
                record["events_file_error"] = str(error)
        # A full disk must not end the supervision of a training, and there is nobody left to tell.
        with contextlib.suppress(OSError):
            sys.stderr.write(line(record) + "\n")
            sys.stderr.flush()


def line(event: Mapping[str, object]) -> str:
    """Return an event as one line of JSON."""
    values = {key: plain(value) for key, value in event.items()}
    # In a traceback, or deep within a value, there may be words of strangers, too.
    return printable_json(json.dumps(values, ensure_ascii=False, default=repr))


def append(path: Path, text: str) -> None:
    """Append a line to a file in one write: several processes' lines stay whole. Raises OSError."""
    descriptor = os.open(path, _APPENDING, 0o640)
    try:
        os.write(descriptor, f"{text}\n".encode("utf-8", "backslashreplace"))
    finally:
        os.close(descriptor)


def plain(value: object) -> object:
    """Turn a path into text, and escape what would move a terminal's cursor or break an encoder."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    return printable_lines(text) if isinstance(text, str) else text
