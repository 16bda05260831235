"""Promises of ckpt.copying.crew: everything reported once, the first error raised, and no thread left behind."""

import threading
from collections.abc import Iterator

import pytest

from handlers.ckpt.copying.crew import Crew


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever happens, what was started has ended."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("threads", (0, 1, 2, 5))
def test_all_reports_arrive_in_the_thread_that_waits(threads: int) -> None:
    """Each count is handed over once, by the thread that called run."""
    crew, counts, callers = Crew(), list[int](), set[threading.Thread]()

    def work() -> None:
        for _ in range(100):
            crew.report(7)

    def reported(count: int) -> None:
        counts.append(count)
        callers.add(threading.current_thread())

    crew.run(threads, work, reported)
    assert counts == [7] * 100 * threads
    assert callers == ({threading.current_thread()} if threads else set())


def test_the_first_error_ends_the_others() -> None:
    """Threads that would never end do so at their next report, and the error is raised."""
    crew, others = Crew(), threading.Barrier(3)

    def work() -> None:
        if others.wait() == 0:
            raise ZeroDivisionError
        while True:
            crew.report(1)

    with pytest.raises(ZeroDivisionError):
        crew.run(3, work, lambda _: None)


def test_an_interrupt_ends_all() -> None:
    """Ctrl-C comes to the thread that waits; the others end too."""
    crew = Crew()

    def work() -> None:
        while True:
            crew.report(1)

    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crew.run(2, work, interrupt)


def test_threads_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on threads is raised as it is, once those that were started have ended."""
    crew, start = Crew(), threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name.endswith("1"):
            raise RuntimeError("can't start new thread")
        start(thread)

    def work() -> None:
        while True:
            crew.report(1)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="can't start"):
        crew.run(2, work, lambda _: None)
