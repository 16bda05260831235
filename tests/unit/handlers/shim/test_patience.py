"""Records are written in the end, and an end that is asked for is not put off for ever."""

import errno
import itertools
import os
import signal
from collections.abc import Callable

import pytest
import structlog
from structlog.testing import capture_logs

from handlers.shim import patience
from handlers.shim.patience import patiently
from handlers.shim.wakeups import Wakeups


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all pauses."""
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE", "LAST_PATIENCE"):
        monkeypatch.setattr(patience, name, 0.01)


def fails(times: int, number: int) -> Callable[[], str]:
    """Return work that fails so many times."""
    calls = itertools.count()

    def work() -> str:
        if next(calls) < times:
            raise OSError(number, os.strerror(number))
        return "done"

    return work


def test_what_may_pass_is_waited_for() -> None:
    """However often it fails."""
    with capture_logs() as logs, Wakeups() as wakeups:
        assert patiently("exit.json", fails(20, errno.ENOSPC), wakeups, structlog.get_logger()) == "done"
    assert [(entry["event"], entry["what"]) for entry in logs] == [("fault", "exit.json")] * 20


def test_what_cannot_pass_is_raised_at_once() -> None:
    """There is no plan.json: waiting will not make one."""
    with Wakeups() as wakeups, pytest.raises(FileNotFoundError):
        patiently("plan.json", fails(1, errno.ENOENT), wakeups, structlog.get_logger())


def test_one_that_is_told_to_end_gives_up_after_a_while() -> None:
    """TERM leaves it some time, and no more."""
    with Wakeups() as wakeups:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(OSError, match="No space left"):
            patiently("exit.json", fails(10**9, errno.ENOSPC), wakeups, structlog.get_logger())
