"""Threads that do one piece of work together: the first error of any ends them all, and is raised."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class _GivenUpError(Exception):
    """Ends a thread whose work nobody waits for any more."""


class Crew:
    """The threads and what they report. They end with `run`, however that ends."""

    def __init__(self) -> None:
        self._reports = SimpleQueue[int | BaseException | None]()
        self._given_up = False

    def report(self, count: int) -> None:
        """Say, in one of the threads, that `count` more is done. Ends the thread where the work was given up."""
        if self._given_up:
            raise _GivenUpError
        self._reports.put(count)

    def run(self, threads: int, work: Callable[[], None], reported: Callable[[int], None]) -> None:
        """Do `work` in so many threads at once; hand what they report to `reported`, in this thread.

        Raises the first error of a thread or of `reported`, KeyboardInterrupt too, when all threads have ended.
        """
        crew = [threading.Thread(target=self._work, args=(work,), name=f"copy-{number}") for number in range(threads)]
        started = []
        try:
            for thread in crew:
                thread.start()
                started.append(thread)
            working = len(started)
            while working:
                report = self._reports.get()
                if isinstance(report, BaseException):
                    raise report
                if report is None:
                    working -= 1
                else:
                    reported(report)
        finally:
            self._given_up = True
            for thread in started:
                thread.join()

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _GivenUpError:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            self._reports.put(error)
        else:
            self._reports.put(None)
