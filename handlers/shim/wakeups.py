"""Signals turned into something that a wait wakes up for."""

import contextlib
import select
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Self

_STOP = (signal.SIGTERM, signal.SIGINT)


class Wakeups:
    """While entered (main thread only), TERM, INT and CHLD end `wait`; TERM and INT are remembered in `stop`."""

    def __init__(self) -> None:
        self.stop: signal.Signals | None = None
        self._interrupting = False

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)
        self._previous_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._previous = {signum: signal.signal(signum, self._note) for signum in (*_STOP, signal.SIGCHLD)}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float | None) -> None:
        """Return at a signal that came since the last wait, or after `seconds` (None: only at a signal)."""
        select.select([self._reader], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within the block TERM and INT raise KeyboardInterrupt; one that came earlier does so at once."""
        self._interrupting = True
        try:
            if self.stop is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupting = False

    def _note(self, signum: int, _: FrameType | None) -> None:
        if signum not in _STOP:
            return
        self.stop = signal.Signals(signum)
        if self._interrupting:
            self._interrupting = False  # once: what cleans up is not interrupted again
            raise KeyboardInterrupt
