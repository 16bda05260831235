"""Work that may block is done elsewhere, and its results come back to the loop."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from daemon.workers import Workers


class Loop:
    """Delivers results when woken, as the daemon's loop does."""

    def __init__(self, limit: int = 8) -> None:
        self.woken = threading.Semaphore(0)
        self.workers = Workers(self.woken.release, limit)

    def turn(self) -> None:
        """Wait until something has ended, and deliver it."""
        assert self.woken.acquire(timeout=10)
        self.workers.deliver()


def test_results_are_delivered_in_the_loops_thread() -> None:
    """`then` runs where `deliver` is called, so that the loop's data needs no locks."""
    loop, seen = Loop(), []
    loop.workers.submit("a", threading.get_ident, lambda f: seen.append((f.result(), threading.get_ident())))
    loop.turn()
    ((worker, deliverer),) = seen
    assert deliverer == threading.get_ident() != worker


def test_an_exception_reaches_then() -> None:
    """Nothing that goes wrong in a thread is lost."""
    loop, seen = Loop(), list[Future[float]]()
    loop.workers.submit("a", lambda: 1 / 0, seen.append)
    loop.turn()
    with pytest.raises(ZeroDivisionError):
        seen[0].result()


def test_one_key_is_worked_on_once_at_a_time() -> None:
    """Asking again while it is being done changes nothing; afterwards it is done again."""
    loop, gate, seen = Loop(), threading.Event(), []
    for _ in range(3):
        loop.workers.submit("a", gate.wait, seen.append)
    gate.set()
    loop.turn()
    assert len(seen) == 1
    loop.workers.submit("a", gate.wait, seen.append)
    loop.turn()
    assert len(seen) == 2


def test_hanging_work_leaves_room_and_no_more_than_the_limit_runs() -> None:
    """Work beyond the limit waits, and is started when other work ends."""
    loop, gate, seen = Loop(limit=2), threading.Event(), []
    loop.workers.submit("hangs", gate.wait, seen.append)
    for key in range(3):
        loop.workers.submit(key, lambda: None, lambda f: seen.append(f.result()))
    for _ in range(3):
        loop.turn()
    assert seen == [None] * 3
    gate.set()
    loop.turn()
    assert len(seen) == 4


def test_a_result_that_cannot_be_taken_holds_up_no_other() -> None:
    """Each is taken within what the loop has to contain it."""
    loop, seen = Loop(), list[str]()
    for key in "ab":
        loop.workers.submit(key, lambda: None, lambda _: {}["nobody foresaw it"])
        assert loop.woken.acquire(timeout=10)

    def contain(take: Callable[[], None]) -> None:
        try:
            take()
        except KeyError as error:
            seen.append(str(error))

    loop.workers.deliver(contain)
    assert seen == ["'nobody foresaw it'"] * 2
