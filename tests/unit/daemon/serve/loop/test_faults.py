"""What fails and may pass is tried again after a pause, and shown until it succeeds."""

import errno
import os
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from daemon.core.may_pass import may_pass
from daemon.serve.loop.faults import Defect, Faults


def failing(number: int) -> Callable[[], None]:
    """Return work that fails as the operating system says for `number`."""

    def work() -> None:
        raise OSError(number, os.strerror(number))

    return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the clock; the returned function lets it go on."""
    now = 1000.0

    def go_on(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    return go_on


def test_pauses_grow_to_a_bound(clock: Callable[[float], None]) -> None:
    """Twice as long each time, up to ten seconds, and nothing is tried in between."""
    faults, pauses = Faults(), []
    for _ in range(6):
        assert not faults.attempt("inbox", failing(errno.ENOSPC))
        pauses.append(faults.next_due(time.monotonic()))
        assert faults.is_paused("inbox")
        assert not faults.attempt("inbox", lambda: pytest.fail("tried within the pause"))
        clock(pauses[-1] or 0.0)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_what_is_present_is_told_since_when(clock: Callable[[float], None]) -> None:
    """Since it failed first; what fails again after it had passed is a new fault."""
    faults, before = Faults(), datetime.now(UTC)
    faults.attempt("inbox", failing(errno.ENOSPC))
    (first,) = faults.present(besides="")
    assert (first.what, first.code, first.reason) == (
        "inbox",
        "host.disk-full",
        "[Errno 28] No space left on device",
    )
    assert before <= first.since <= datetime.now(UTC)
    clock(1.0)
    faults.attempt("inbox", failing(errno.EIO))
    (again,) = faults.present(besides="")
    assert (again.reason, again.since) == ("[Errno 5] Input/output error", first.since)
    assert faults.present(besides="inbox") == []
    assert faults.since("inbox") == first.since.astimezone().replace(tzinfo=None)
    faults.passed("inbox")
    assert faults.present(besides="") == []
    faults.attempt("inbox", failing(errno.EIO))
    assert faults.present(besides="")[0].since > first.since


def test_one_fault_holds_up_nothing_else(clock: Callable[[float], None]) -> None:
    """Each thing has its own pause."""
    del clock
    faults = Faults()
    faults.attempt("job 1", failing(errno.EIO))
    assert faults.attempt("job 2", lambda: None)
    assert faults.summary == "job 1: [Errno 5] Input/output error"


def test_a_success_ends_it_aloud(clock: Callable[[float], None]) -> None:
    """The summary is empty again, the log has both events, and the next fault begins with a short pause."""
    faults = Faults()
    with capture_logs() as logs:
        faults.attempt("store", failing(errno.EIO))
        clock(1.0)
        assert faults.attempt("store", lambda: None)
    assert [(entry["event"], entry["what"]) for entry in logs] == [("fault", "store"), ("fault_passed", "store")]
    assert faults.summary == ""
    faults.attempt("store", failing(errno.EIO))
    assert faults.next_due(time.monotonic()) == 1.0


def test_a_fault_that_nobody_tries_to_mend_is_forgotten(clock: Callable[[float], None]) -> None:
    """What it was about is gone: a claim that somebody removed by hand."""
    faults = Faults()
    faults.attempt("claim of run.yaml", failing(errno.EIO))
    clock(200.0)
    assert faults.next_due(time.monotonic()) is None  # it wakes nobody
    assert faults.summary
    clock(200.0)
    faults.next_due(time.monotonic())
    assert faults.summary == ""


def test_the_summary_is_one_printable_line(clock: Callable[[float], None]) -> None:
    """Names of strangers are in it; of many faults it shows the first three."""
    del clock
    faults = Faults()
    for number in range(5):
        faults.failed(f"job {number}", OSError(errno.EIO, "bad\x1b[2J"))
    assert faults.summary.endswith("; 2 more")
    assert faults.summary.isprintable()


def test_a_defect_is_set_aside() -> None:
    """What nobody foresaw goes to whoever can set its thing aside, with its traceback, and stays in the headline."""
    faults, aside = Faults(), []
    assert not faults.attempt("claim of x", lambda: 1 / 0, aside.append)
    assert "glmd.defect: a defect in glmd: ZeroDivisionError" in aside[0].reason
    assert "lambda: 1 / 0" in aside[0].traceback
    assert "a defect of glmd met" in faults.summary
    assert not faults.is_paused("claim of x")


def test_a_reason_is_bounded() -> None:
    """It goes into a row, a headline and a packet; somebody else may have written what it quotes."""
    faults = Faults()
    faults.failed("disk", OSError("x" * 100_000))
    assert len(faults.summary) < 1100
    assert len(Defect(ValueError("x" * 100_000)).reason) < 1100


def test_what_cannot_be_set_aside_is_left_alone() -> None:
    """Without a way to set it aside, or where that fails: it is paused, shown, and tried again after a reload."""

    def fail(_: object) -> None:
        raise KeyError

    faults = Faults()
    for what, aside in (("night", None), ("job 1", fail)):
        assert not faults.attempt(what, lambda: 1 / 0, aside)
    assert faults.is_paused("night")
    assert faults.is_paused("job 1")
    faults.retry_all()
    assert faults.attempt("night", lambda: None)


@pytest.mark.parametrize("code", (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_BUSY))
def test_what_concerns_the_whole_store_is_raised(code: int) -> None:
    """It is no single thing's: the loop waits it out, or the daemon ends."""

    def fail() -> None:
        error = sqlite3.DatabaseError("store")
        error.sqlite_errorcode = code
        raise error

    with pytest.raises(sqlite3.DatabaseError):
        Faults().attempt("anything", fail, lambda _: None)


@pytest.mark.parametrize(
    ("error", "passes"),
    (
        (OSError(errno.ENOSPC, ""), True),
        (OSError(errno.EDQUOT, ""), True),
        (OSError(errno.EMFILE, ""), True),
        (OSError(errno.EIO, ""), True),
        (OSError(errno.EROFS, ""), True),
        (OSError(errno.ENOENT, ""), False),
        (OSError(errno.EACCES, ""), False),
        (ValueError(), False),
        (sqlite3.OperationalError("no such table: jobs"), False),
        (None, False),
    ),
)
def test_what_may_pass(error: BaseException | None, *, passes: bool) -> None:
    """The state of the host may; what was asked for does not change by itself."""
    assert may_pass(error) is passes


def test_real_errors_of_sqlite(tmp_path: object) -> None:
    """A locked database may pass; a damaged one does not."""
    path = f"{tmp_path}/x.db"
    with sqlite3.connect(path, isolation_level=None) as one, sqlite3.connect(path, timeout=0) as other:
        one.execute("CREATE TABLE t (a)")
        one.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as locked:
            other.execute("INSERT INTO t VALUES (1)")
        one.execute("ROLLBACK")
    one.close()
    other.close()
    assert may_pass(locked.value)
    with open(path, "r+b") as stream:  # noqa: PTH123 - a text it is
        stream.write(b"not a database, and nothing like it")
    with sqlite3.connect(path) as broken, pytest.raises(sqlite3.DatabaseError) as damaged:
        broken.execute("SELECT * FROM t")
    broken.close()
    assert not may_pass(damaged.value)


def test_what_the_host_denies_is_no_defect(clock: Callable[[float], None]) -> None:
    """It has no thread or memory to spare: that passes."""
    del clock

    def fail() -> None:
        raise RuntimeError("can't start new thread")

    faults = Faults()
    assert not faults.attempt("watching", fail)
    assert faults.summary == "watching: can't start new thread"
