"""Work that may block is done elsewhere, and its results come back to the loop."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from daemon.serve.loop import workers
from daemon.serve.loop.workers import Here, Lane, Workers


class Loop:
    """Delivers results when woken, as the daemon's loop does."""

    def __init__(self, limit: int = 8, elsewhere: Here | None = None) -> None:
        self.woken = threading.Semaphore(0)
        self.workers = Workers(self.woken.release, limit, elsewhere)

    def turn(self) -> None:
        """Wait until something has ended, and deliver it."""
        assert self.woken.acquire(timeout=10)
        self.workers.deliver()


def test_results_are_delivered_in_the_loops_thread() -> None:
    """`then` runs where `deliver` is called, so that the loop's data needs no locks."""
    loop, seen = Loop(), []
    loop.workers.submit(Lane.JOBS, "a", threading.get_ident, lambda f: seen.append((f.result(), threading.get_ident())))
    loop.turn()
    ((worker, deliverer),) = seen
    assert deliverer == threading.get_ident() != worker


def test_an_exception_reaches_then() -> None:
    """Nothing that goes wrong in a thread is lost."""
    loop, seen = Loop(), list[Future[float]]()
    loop.workers.submit(Lane.JOBS, "a", lambda: 1 / 0, seen.append)
    loop.turn()
    with pytest.raises(ZeroDivisionError):
        seen[0].result()


def test_one_key_is_worked_on_once_at_a_time() -> None:
    """Asking again while it is being done changes nothing; afterwards it is done again."""
    loop, gate, seen = Loop(), threading.Event(), []
    for _ in range(3):
        loop.workers.submit(Lane.JOBS, "a", gate.wait, seen.append)
    gate.set()
    loop.turn()
    assert len(seen) == 1
    loop.workers.submit(Lane.JOBS, "a", gate.wait, seen.append)
    loop.turn()
    assert len(seen) == 2


def test_hanging_work_leaves_room_and_no_more_than_the_limit_runs() -> None:
    """Work beyond the limit waits, and is started when other work ends."""
    loop, gate, seen = Loop(limit=2), threading.Event(), []
    loop.workers.submit(Lane.JOBS, "hangs", gate.wait, seen.append)
    for key in range(3):
        loop.workers.submit(Lane.JOBS, key, lambda: None, lambda f: seen.append(f.result()))
    for _ in range(3):
        loop.turn()
    assert seen == [None] * 3
    gate.set()
    loop.turn()
    assert len(seen) == 4


def test_lanes_do_not_wait_for_each_other() -> None:
    """Thousands of drops to be checked hold up no start."""
    loop, gate, seen = Loop(limit=1), threading.Event(), list[str]()
    for key in range(3):
        loop.workers.submit(Lane.CLAIMS, key, gate.wait, lambda _: seen.append("claim"))
    loop.workers.submit(Lane.STARTS, "start", lambda: None, lambda _: seen.append("start"))
    loop.turn()
    assert seen == ["start"]
    gate.set()
    for _ in range(3):
        loop.turn()


def test_work_that_is_slow_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs in eight threads leaves room for a ninth after a second, for which the loop is told to turn."""
    monkeypatch.setattr(workers, "SLOW", 0.05)
    loop, gate, seen = Loop(limit=2), threading.Event(), list[str]()
    for key in range(2):
        loop.workers.submit(Lane.CLAIMS, key, gate.wait, lambda _: seen.append("hung"))
    loop.workers.submit(Lane.CLAIMS, "good", lambda: None, lambda _: seen.append("good"))
    due = loop.workers.next_due(time.monotonic())
    assert due is not None
    threading.Event().wait(due + 0.01)
    loop.workers.deliver()
    loop.turn()
    assert seen == ["good"]
    assert loop.workers.next_due(time.monotonic()) is None
    gate.set()
    for _ in range(2):
        loop.turn()


class Elsewhere(Here):
    """Does work until it is stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def stop(self, key: object) -> None:
        """Let the work come to its end."""
        del key
        self.stopped.set()


def test_stopped_work_is_not_handed_over_and_keeps_its_key_until_it_has_ended() -> None:
    """The next one for the same job begins when the late one has done its last step, not before."""
    elsewhere, seen = Elsewhere(), list[str]()
    loop = Loop(elsewhere=elsewhere)
    loop.workers.submit_apart(Lane.JOBS, "job", elsewhere.stopped.wait, lambda _: seen.append("late"))
    loop.workers.stop("job")
    loop.turn()
    loop.workers.submit_apart(Lane.JOBS, "job", lambda: None, lambda _: seen.append("next"))
    loop.turn()
    assert seen == ["next"]


def test_stopped_work_that_had_not_begun_never_does() -> None:
    """It is as if nobody had asked for it."""
    loop, gate, seen = Loop(limit=1), threading.Event(), list[str]()
    loop.workers.submit(Lane.JOBS, "first", gate.wait, lambda _: seen.append("first"))
    loop.workers.submit(Lane.JOBS, "second", lambda: None, lambda _: seen.append("second"))
    loop.workers.stop("second")
    gate.set()
    loop.turn()
    assert seen == ["first"]


def test_a_result_that_cannot_be_taken_holds_up_no_other() -> None:
    """Each is taken within what the loop has to contain it."""
    loop, seen = Loop(), list[str]()
    for key in "ab":
        loop.workers.submit(Lane.JOBS, key, lambda: None, lambda _: {}["nobody foresaw it"])
        assert loop.woken.acquire(timeout=10)

    def contain(take: Callable[[], None]) -> None:
        try:
            take()
        except KeyError as error:
            seen.append(str(error))

    loop.workers.deliver(contain)
    assert seen == ["'nobody foresaw it'"] * 2
