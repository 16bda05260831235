"""What a step's records say of its shim."""

import fcntl
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.life import Life, life
from daemon.core.settings import Runner
from daemon.serve.steps.runner import SpawnRunner, SystemdRunner, choose_runner, forestall
from handlers.records.job_dir import JobDir, Step, StepDir
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit
from handlers.shim.run import EXIT_REFUSED

AT = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path: Path) -> StepDir:
    """Return the directory that a test works on."""
    return StepDir(tmp_path)


def record(identity: ProcessIdentity) -> ShimRecord:
    """Return a shim.json of that process."""
    return ShimRecord(pid=identity.pid, start_time=identity.start_time, boot_id=identity.boot_id, started=AT)


def test_without_records_no_shim_was_there(directory: StepDir) -> None:
    """A step that was never started can be."""
    assert life(directory) == (Life.NONE, None)


def test_a_living_shim_is_running(directory: StepDir) -> None:
    """It is adopted by who it is, child or not."""
    me = ProcessIdentity.of(os.getpid())
    record(me).publish(directory.shim)
    assert life(directory) == (Life.RUNNING, me)


def test_a_shim_that_is_gone_without_an_exit_died(directory: StepDir) -> None:
    """Killed from outside: nobody will write its exit.json any more."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(child.pid)
    record(identity).publish(directory.shim)
    child.communicate()
    assert life(directory) == (Life.DIED, None)


@pytest.mark.parametrize("change", ({"start_time": 1}, {"boot_id": "another boot"}))
def test_a_recycled_pid_is_not_the_shim(directory: StepDir, change: dict[str, object]) -> None:
    """A pid that lives, but of another start or another boot, is somebody else."""
    record(ProcessIdentity.of(os.getpid())).model_copy(update=change).publish(directory.shim)
    assert life(directory) == (Life.DIED, None)


def test_an_exit_says_that_it_ended(directory: StepDir) -> None:
    """exit.json is written last, and counts even while the shim's process is still there."""
    record(ProcessIdentity.of(os.getpid())).publish(directory.shim)
    StepExit(step=Step.TRAIN, outcome=Outcome.COMPLETED, reason="", started=AT, ended=AT).publish(directory.exit)
    assert life(directory) == (Life.ENDED, None)


def test_a_shim_that_comes_up_too_late_does_nothing(tmp_path: Path) -> None:
    """Once given up, a step is not started any more: its devices may be another job's."""
    step = JobDir(tmp_path).step(1, Step.TRAIN)
    assert forestall(step, Step.TRAIN, "did not come up")
    late = subprocess.run([sys.executable, "-m", "handlers.shim", str(tmp_path), "1", "train"], check=False)
    assert late.returncode == EXIT_REFUSED
    assert (life(step)[0], StepExit.read(step.exit).reason) == (Life.ENDED, "did not come up")
    assert not step.shim.exists()


def test_a_shim_that_has_come_up_is_not_given_up(directory: StepDir) -> None:
    """It holds its lock, and is left alone."""
    with directory.lock.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not forestall(directory, Step.TRAIN, "did not come up")
    assert not directory.exit.exists()


def test_auto_is_systemd_only_under_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon in a terminal spawns its shims itself, also on a host that has systemd."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert isinstance(choose_runner(Runner.AUTO), SpawnRunner)
    assert isinstance(choose_runner(Runner.SYSTEMD), SystemdRunner)
