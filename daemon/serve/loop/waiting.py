"""The daemon's one place to wait: for threads, signals, processes' ends, clients and time."""

import contextlib
import selectors
import signal
import socket
from collections.abc import Callable
from typing import Self


class Waiting:
    """Waits until a watched descriptor is readable, something calls `wake`, a signal arrives, or time is up.

    Only `wake` may be called from other threads and from signal handlers.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._inner, self._outer = socket.socketpair()
        self._inner.setblocking(False)
        self._outer.setblocking(False)
        self._selector.register(self._inner, selectors.EVENT_READ, self._drain)
        self._previous = signal.set_wakeup_fd(self._outer.fileno(), warn_on_full_buffer=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        signal.set_wakeup_fd(self._previous)
        self._selector.close()
        self._inner.close()
        self._outer.close()

    def wake(self) -> None:
        """Let the present or next `wait` return at once."""
        # Full: it is going to wake anyway. Closed: nobody waits any more, and a worker ends only now.
        with contextlib.suppress(OSError):
            self._outer.send(b"\0")

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Call `ready` from `wait` whenever `descriptor` is readable (a pidfd is when its process has ended)."""
        self._selector.register(descriptor, selectors.EVENT_READ, ready)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching `descriptor`; to be called before it is closed."""
        self._selector.unregister(descriptor)

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds`, and call what is ready."""
        for key, _ in self._selector.select(max(0.0, seconds)):
            key.data()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._inner.recv(4096):
                pass
