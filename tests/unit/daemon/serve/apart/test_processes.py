"""Work in processes apart: done, raised, stopped, given up; never twice at once."""

import contextlib
import errno
import functools
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.serve.apart import processes
from daemon.serve.apart.guarded import link
from daemon.serve.apart.messages import Raised
from daemon.serve.apart.processes import Apart, DiedError, StoppedError
from handlers.ckpt import errors as ckpt_errors
from handlers.errors import BadInputError
from handlers.host.reach import DoesNotAnswerError
from handlers.validate.problem import ConfigError, Problem


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    """Return what all tests here may use that leave it as it was."""
    with contextlib.closing(Apart()) as apart:
        apart.start()
        yield apart


def work(name: str, *arguments: object) -> functools.partial[object]:
    """Return picklable work: `name` of the standard library, as processes apart cannot import tests."""
    module, _, function = name.rpartition(".")
    return functools.partial(getattr(__import__(module, fromlist=[function]), function), *arguments)


def test_it_is_done_in_another_process(apart: Apart) -> None:
    """Each piece of work has a process of its own."""
    pids = {apart.run(number, work("os.getpid")) for number in range(2)}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_what_it_raises_is_raised_with_its_causes_and_traceback(apart: Apart) -> None:
    """What is done about an error depends on its kind and its cause; whoever mends a defect wants to see its place."""
    with pytest.raises(FileNotFoundError) as raised:
        apart.run("a", work("os.stat", "/no such"))
    assert raised.value.errno == errno.ENOENT
    assert "Traceback" in str(raised.value.__cause__)


@pytest.mark.parametrize("error", (EOFError, ConnectionResetError, BrokenPipeError))
def test_what_work_raises_is_not_taken_for_its_death(apart: Apart, error: type[Exception]) -> None:
    """A tool or a socket that the work speaks to may hang up on it, as the work itself may on the daemon."""
    with pytest.raises(error) as raised:
        apart.run("a", work("builtins.exec", f"raise {error.__name__}"))
    assert "Traceback" in str(raised.value.__cause__)


@pytest.mark.parametrize(
    "error",
    (
        ConfigError("run.yaml", [Problem(1, 2, "a.b", "is wrong", "hint", "a: b")]),
        BadInputError("what"),
        DoesNotAnswerError("/a", "it sleeps"),
        ckpt_errors.NotFiniteError("w has NaN", {}),
        OSError(errno.EIO, "broken", "/a"),
    ),
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_the_way(error: Exception) -> None:
    """All that a handler raises has the same type, text and fields at the other end."""
    there = pickle.loads(pickle.dumps(Raised.of(error))).error()  # noqa: S301 - ours
    assert (type(there), str(there), vars(there)) == (type(error), str(error), vars(error))


def test_what_dies_twice_is_told(apart: Apart) -> None:
    """It is tried once more, for the kernel may have been short of memory; then it is a defect."""
    with pytest.raises(DiedError, match="twice"):
        apart.run("dies", work("os._exit", 9))


def test_a_zygote_that_died_is_replaced() -> None:
    """The kernel may choose it when memory is short."""
    with contextlib.closing(Apart()) as apart:
        for _ in range(2):
            assert apart.run("a", work("os.getpid"))
            assert apart._zygote is not None
            apart._zygote.kill()
            apart._zygote.wait()


def test_work_that_is_stopped_is_dead_when_run_returns(apart: Apart, tmp_path: Path) -> None:
    """Whoever comes next in the same directory is alone there."""
    fifo, ended = tmp_path / "fifo", []
    os.mkfifo(fifo)

    def run() -> None:
        with pytest.raises(StoppedError):
            apart.run("s", functools.partial(Path.read_text, fifo))
        ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    writer = os.open(fifo, os.O_WRONLY)  # returns when the work has opened it
    apart.stop("s")
    thread.join(10)
    assert ended
    with pytest.raises(BrokenPipeError):  # nobody reads it any more
        os.write(writer, b"x")
    os.close(writer)


def test_what_gives_no_sign_is_given_up(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that waits for it gets an error that may pass."""
    monkeypatch.setattr(processes, "SIGN_WITHIN", 0.2)
    with pytest.raises(TimeoutError) as raised:
        apart.run("hangs", work("time.sleep", 60))
    assert raised.value.errno == errno.ETIMEDOUT


def test_all_end_with_the_daemon() -> None:
    """However it ends: a writer of before must not meet the one of the next daemon."""
    apart = Apart()
    told: list[object] = []
    thread = threading.Thread(target=_quietly, args=(apart, told))
    thread.start()
    deadline = time.monotonic() + 30
    while not (running := list(apart._processes.values())) and time.monotonic() < deadline:
        time.sleep(0.01)
    pidfd = os.dup(running[0].pidfd)
    assert apart._zygote is not None
    os.kill(apart._zygote.pid, signal.SIGKILL)
    assert processes.has_ended(pidfd, 10)
    os.close(pidfd)
    apart.close()
    thread.join(10)
    assert not thread.is_alive()


def _quietly(apart: Apart, told: list[object]) -> None:
    with contextlib.suppress(StoppedError, DiedError, OSError):
        apart.run("sleeps", work("time.sleep", 60), told.append)


def test_link_is_of_processes_apart_alone() -> None:
    """Anything else would talk to nobody."""
    with pytest.raises(RuntimeError):
        link()
