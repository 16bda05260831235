"""Texts of several lines, shown whole: with their own line ends, and wrapped to a terminal's width."""

import re
import shutil
import sys
from collections.abc import Iterator

from daemon.commands.terminal.table import NARROWEST
from daemon.face.cells import cells
from handlers.printable import printable

_QUOTED = re.compile(r"^ +(?:\d+ \|.*\n?|\| *\^)", re.MULTILINE)
"""What has its place in lines of their own alone."""


def terminal_width() -> int | None:
    """Return how many cells a line of standard output has; None where that is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def paragraphs(text: str, indent: int, width: int | None = None) -> list[str]:
    """Return the lines of `text`, all but the first indented by `indent`: that one stands behind what names it.

    None is wider than `width`, but for words that cannot be parted, as paths. Without a width nothing is wrapped.
    """
    room = None if width is None else max(NARROWEST, width - indent)
    lines = [part for line in text.rstrip("\n ").split("\n") for part in _wrapped(printable(line), room)]
    shown = [" " * indent * (number > 0) + line for number, line in enumerate(lines)]
    return [line.rstrip() for line in shown] if text.strip() else []


def one_line(reason: str) -> str:
    """Return a reason for a cell of a table: without what it quotes of a file, and what points into that."""
    lines = (line.strip() for line in _QUOTED.sub("", reason).splitlines())
    return "; ".join(line for line in lines if line)


def _wrapped(line: str, room: int | None) -> Iterator[str]:
    """Yield `line` in parts of at most `room` cells, all as far to the right as the first."""
    if room is None or cells(line) <= room:
        yield line
        return
    margin = line[: min(len(line) - len(line.lstrip(" ")), room // 2)]
    part = margin
    for word in _words(line.lstrip(" "), room - len(margin)):
        if part.strip() and cells(part) + cells(word.rstrip()) > room:
            yield part.rstrip()
            part = margin
        part += word
    yield part


def _words(line: str, room: int) -> Iterator[str]:
    """Yield the words of `line` with the blanks behind them; Chinese, which has none, may be parted anywhere."""
    for word in re.findall(r"\S+ *", line):
        if word.isascii() or cells(word.rstrip()) <= room:
            yield word
        else:
            yield from word
