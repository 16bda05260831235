"""One line that says how far something is: rewritten in place on a terminal, else one line a change of stage."""

import shutil
import sys

from daemon.face.cells import cut
from handlers.printable import printable


class LiveLine:
    """Shows the newest of what `show` is given, on standard error: standard output is for results."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._stage = ""
        self._shown = ""

    def show(self, stage: str, text: str = "") -> None:
        """Show `stage` with `text`; a pipe or file gets only the stages, each once."""
        line = printable(f"{stage}: {text}" if text else stage)
        if self._terminal and line != self._shown:
            room = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[K{cut(line, room)}")
        elif not self._terminal and stage != self._stage:
            self._write(f"{printable(stage)}\n")
        self._stage, self._shown = stage, line

    def clear(self) -> None:
        """Take the line away, before something else is written."""
        if self._terminal and self._shown:
            self._write("\r\x1b[K")
        self._shown = ""

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
