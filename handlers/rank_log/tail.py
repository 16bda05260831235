"""The end of a log, at a bounded cost however long the log is."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from handlers.ckpt.files.bounded import without_waiting

TAIL_BYTES = 64 * 1024
_GLANCE_BYTES = 16 * 1024

_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")


def tail(path: Path, enough: Callable[[Sequence[str]], bool] | None = None) -> list[str]:
    """Return the last lines of `path`, free of terminal sequences and control characters.

    At most TAIL_BYTES are read, and a quarter of that where those lines are `enough`; a first line cut by that is left
    out. A log that is not there yet or cannot be read has no lines: no supervisor may end a training for lack of a
    quotation.
    """
    try:
        with open(path, "rb", opener=without_waiting) as stream:
            return tail_of(stream, enough)
    except OSError:
        return []


def tail_of(stream: BinaryIO, enough: Callable[[Sequence[str]], bool] | None = None) -> list[str]:
    """Return the last lines of an open log, as `tail` does. Raises OSError."""
    if enough is not None and enough(lines := _last(stream, _GLANCE_BYTES)):
        return lines
    return _last(stream, TAIL_BYTES)


def _last(stream: BinaryIO, most: int) -> list[str]:
    start = max(0, stream.seek(0, os.SEEK_END) - most)
    stream.seek(start)
    lines = lines_of(stream.read(most))
    return lines[1:] if start > 0 and len(lines) > 1 else lines


def lines_of(content: bytes) -> list[str]:
    """Return the lines of a piece of a log, free of terminal sequences and control characters."""
    text = without_sequences(content.decode("utf-8", "replace"))
    # A progress bar rewrites its line with carriage returns: each state of it is a line here.
    return [_printable(line).rstrip() for line in text.replace("\r", "\n").split("\n")]


def without_sequences(text: str) -> str:
    """Return a text without what colours a terminal or moves its cursor."""
    return _TERMINAL_SEQUENCE.sub("", text) if "\x1b" in text else text


def _printable(line: str) -> str:
    return line if line.isprintable() else "".join(c for c in line if c.isprintable() or c == "\t")
