"""Children do what may hang: each answers, or is ended, and what came of it is taken once."""

import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import wait

import pytest

from daemon.face.children import Children, Died, NoAnswer, Raised, TimedOut


def _hang() -> int:
    signal.pause()
    return 0


def _die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _fail() -> int:
    raise ValueError("https://user:secret@example.org")


def delivered(work: Callable[[], object], seconds: float = 30.0) -> object:
    """Return what comes of `work`."""
    children, found = Children(), list[object]()
    children.start("a", work, found.append, seconds=seconds)
    assert "a" in children
    while not found:
        wait(children.links, timeout=0.05)
        children.deliver()
    assert "a" not in children
    assert len(children) == 0
    return found[0]


def test_an_answer_of_any_size_comes_back() -> None:
    """A pipe holds 64 KiB; what is larger is read while it is written."""
    assert delivered(lambda: "x" * 1_000_000) == "x" * 1_000_000


def test_one_that_hangs_is_ended_in_its_time() -> None:
    """One dead server holds up no other, and leaves no process."""
    assert delivered(_hang, seconds=0.1) == TimedOut()


def test_one_that_is_killed_is_told_from_one_that_answers() -> None:
    """As by want of memory."""
    assert delivered(_die) == Died()


def test_an_exceptions_text_does_not_come_back() -> None:
    """It may hold an address; where it came from is told."""
    answer = delivered(_fail)
    assert isinstance(answer, Raised)
    assert answer.kind == "ValueError"
    assert "test_children.py:" in answer.where
    assert "secret" not in repr(answer)


def test_an_answer_that_could_not_be_noted_is_kept() -> None:
    """What was sent is not sent again for want of a note: its key stays taken until the note is made."""
    children, tries = Children(), list[object]()

    def then(answer: object) -> None:
        tries.append(answer)
        if len(tries) < 3:
            raise OSError("no room")

    children.start("a", lambda: 7, then, seconds=30)
    wait(children.links, timeout=30)
    for _ in range(2):
        with pytest.raises(OSError, match="no room"):
            children.deliver()
        assert "a" in children
    children.deliver()
    assert tries == [7, 7, 7]
    assert "a" not in children


def test_stopping_waits_for_nobody() -> None:
    """TERM ends the process at once, whatever its children wait for."""
    children, found = Children(), list[NoAnswer | int]()
    children.start("a", _hang, found.append, seconds=30)
    begun = time.monotonic()
    children.stop()
    assert time.monotonic() - begun < 5
    assert found == []
