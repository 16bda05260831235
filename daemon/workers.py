"""Threads for work that may block (a hung mount, a slow tool), so that the loop never does."""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import TypeVar

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Result = TypeVar("Result")
Delivery = Callable[[], None]


class Workers:
    """Runs each piece of work in a thread of its own, at most `limit` at a time, and hands results back to the loop.

    The threads are daemonic: work that hangs for ever cannot keep the daemon from stopping. All work must be harmless
    to do twice, since nothing of it survives a crash.
    """

    def __init__(self, wake: Callable[[], None], limit: int = 8) -> None:
        self._wake = wake
        self._limit = limit
        self._busy: set[Hashable] = set()
        self._running = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._ended: deque[Delivery] = deque()

    def submit(self, key: Hashable, work: Callable[[], Result], then: Callable[[Future[Result]], None]) -> None:
        """Do `work` in a thread and call `then` from `deliver`. Nothing happens while work of the same `key` is on."""
        if key in self._busy:
            return
        self._busy.add(key)

        def run() -> None:
            future: Future[Result] = Future()
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - recorded in the future, which raises it in the loop
                future.set_exception(error)

            def deliver() -> None:
                self._busy.discard(key)
                self._running -= 1
                then(future)

            self._ended.append(deliver)
            self._wake()

        self._waiting.append(run)
        self._start()

    def deliver(self, contain: Callable[[Delivery], object] = lambda then: then()) -> None:
        """Call `then` of everything that has ended, each through `contain`, in the caller's thread.

        What one of them raises in spite of that is raised; the others' turn comes with the next call.
        """
        try:
            while self._ended:
                contain(self._ended.popleft())
        finally:
            self._start()

    def _start(self) -> None:
        while self._waiting and self._running < self._limit:
            thread = threading.Thread(target=self._waiting[0], daemon=True, name="glmd-worker")
            try:
                thread.start()
            except RuntimeError as error:  # "can't start new thread": TasksMax=, RLIMIT_NPROC, memory; it may pass
                log.error("worker_not_started", reason=str(error), waiting=len(self._waiting))  # noqa: TRY400
                break
            self._waiting.popleft()
            self._running += 1
