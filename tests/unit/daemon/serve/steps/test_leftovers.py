"""What a shim has left is ended."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from daemon.core.living import Run
from daemon.serve.steps import leftovers as module
from daemon.serve.steps.leftovers import Leftovers
from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity

RUN = Run(1, 1, Step.TRAIN, "run")
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that no TERM ends."""
    with subprocess.Popen([sys.executable, "-SEc", DEAF], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_what_term_does_not_end_is_killed(deaf: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace, and not before; it is remembered who it was."""
    monkeypatch.setattr(module, "MOMENT", 0.0)
    leftovers, one = Leftovers(), ProcessIdentity.of(deaf.pid)
    assert not leftovers.end(RUN, [one], 60.0)
    assert one.alive()
    assert leftovers.is_busy
    assert not leftovers.end(RUN, [one], 0.0)
    assert deaf.wait(10) == -signal.SIGKILL
    assert leftovers.of(RUN) == (deaf.pid,)
    leftovers.forget(())
    assert not leftovers.is_busy


def test_what_ends_together_with_its_shim_is_not_signalled(deaf: subprocess.Popen[bytes]) -> None:
    """The kernel needs a moment for it."""
    leftovers = Leftovers()
    assert not leftovers.end(RUN, [ProcessIdentity.of(deaf.pid)], 0.0)
    assert leftovers.of(RUN) == ()


def test_what_cannot_be_ended_is_given_up(deaf: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the loop rests, and whoever asks goes on without its devices."""
    monkeypatch.setattr(module, "MOMENT", 0.0)
    monkeypatch.setattr(module, "KILL_PATIENCE", 0.0)
    leftovers = Leftovers()
    one = ProcessIdentity.of(deaf.pid)
    assert leftovers.end(RUN, [one], 0.0)
    deadline = time.monotonic() + 10
    while leftovers.is_busy:
        assert time.monotonic() < deadline
