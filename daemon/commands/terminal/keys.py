"""Keys as they are pressed, from a terminal."""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Self

UP, DOWN, ENTER, ESCAPE = "up", "down", "enter", "escape"
_SEQUENCES = {
    b"\x1b[A": UP,
    b"\x1bOA": UP,
    b"\x1b[B": DOWN,
    b"\x1bOB": DOWN,
    b"\r": ENTER,
    b"\n": ENTER,
    b"\x1b": ESCAPE,
}
"""By ECMA-48, and as terminals send them in their application mode."""


class Keys:
    """Reads standard input key by key while it is open, and leaves the terminal as it was."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()

    @classmethod
    @contextlib.contextmanager
    def reading(cls) -> Iterator[Self]:
        """Take keys as they come, without showing them."""
        keys = cls()
        before = termios.tcgetattr(keys._descriptor)
        tty.setcbreak(keys._descriptor)
        try:
            yield keys
        finally:
            termios.tcsetattr(keys._descriptor, termios.TCSADRAIN, before)

    def next(self, within: float) -> str:
        """Return the next key within so many seconds: its sign or its name here; empty for none. Raises EOFError."""
        ready, _, _ = select.select([self._descriptor], [], [], within)
        if not ready:
            return ""
        pressed = os.read(self._descriptor, 16)
        if not pressed:
            raise EOFError
        return _SEQUENCES.get(pressed) or pressed.decode("utf-8", "replace")[:1]
