"""Runs a program on a terminal of its own and keeps what is seen there, and when.

It knows what `rich` writes for a bar of one line: colours, carriage returns and the clearing of a line.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ROWS = 50
_PIECES = re.compile(r"\r\n|\r|\x1b\[2K|\x1b\[\?25[hl]|(?:\x1b\[[\d;]*m|[^\r\x1b])+")
_SIGNS_OF_COLOUR = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True)
class Moment:
    """A line, as it was seen from some time on."""

    at: float
    """Seconds after the start."""
    row: int
    line: str
    """With its colours, as ECMA-48 has them."""
    stays: bool
    """Whether it is there to the end; else the next moment of its row takes its place."""

    @property
    def text(self) -> str:
        """The line without colours."""
        return _SIGNS_OF_COLOUR.sub("", self.line)


class Screen:
    """What is seen, line after line."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._row = 0
        self._line = ""
        self._rest = ""

    def take(self, printed: str, at: float) -> None:
        """Take what was printed at that time; an escape sequence may come in two parts."""
        printed = self._rest + printed
        cut = re.search(r"(?:\x1b(?:\[[\d;?]*)?|\r)$", printed)
        self._rest = cut[0] if cut else ""
        pieces = _PIECES.findall(printed.removesuffix(self._rest))
        for piece in pieces:
            if piece == "\r\n":
                self.moments.append(Moment(at, self._row, self._line, stays=True))
                self._row, self._line = self._row + 1, ""
            elif piece == "\x1b[2K":
                self._line = ""
            elif piece != "\r" and not piece.startswith("\x1b[?"):
                self._line += piece
        if self._line and "\r\n" not in pieces:  # there it is that of the stage that has just ended
            self.moments.append(Moment(at, self._row, self._line, stays=False))


def play(words: Sequence[str], environment: Mapping[str, str], columns: int) -> list[Moment]:
    """Run a program to its end and return what was seen. Raises RuntimeError when it fails."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    screen, began = Screen(), time.monotonic()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=its, stderr=its, env=environment) as program:
        os.close(its)
        while printed := _read(ours):
            screen.take(printed.decode(), time.monotonic() - began)
        os.close(ours)
    if program.returncode:
        last = "\n".join(moment.text for moment in screen.moments if moment.stays)
        raise RuntimeError(f"{' '.join(words)} ended with exit code {program.returncode}:\n{last}")
    return screen.moments


def _read(terminal: int) -> bytes:
    """Return what is printed next; nothing when nobody has the terminal any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: that is how Linux says it
        return b""
