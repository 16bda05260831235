"""What a step's records say of its shim, and how it is started without a service manager."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.life import Life, life
from daemon.core.setting_sections import Runner
from daemon.serve.steps.runner import RunnerError, SpawnRunner, SystemdRunner, choose_runner, forestall
from handlers.records.job_dir import JobDir, Step, StepDir
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit
from handlers.shim.run import EXIT_REFUSED
from tests.unit.daemon.serve.steps.runner_promises import Place, RunnerPromises

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


def test_a_damaged_record_of_systemd_says_nothing(directory: StepDir) -> None:
    """It must not end the daemon, which would meet it again."""
    (directory.path / "service_result.json").write_text("{")
    assert SystemdRunner().cause_of_death(directory) is None


def test_a_host_without_systemd_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the setting asks for it all the same."""
    monkeypatch.setenv("PATH", str(tmp_path))
    place = SpawnPlace(tmp_path)
    with pytest.raises(RunnerError, match=r"glmd-job@0042-1-train\.service could not be .*'systemctl'.*glmd retry 42"):
        SystemdRunner().start(place.job, Step.TRAIN, place.root)


class SpawnPlace(Place):
    """Shims that are children of the tests, or orphans."""

    def __init__(self, root: Path) -> None:
        super().__init__(SpawnRunner(), root, 42)
        self.furnish()

    def seen(self, path: Path) -> Path:
        """Return the same."""
        return path

    def write(self, path: Path, content: str = "") -> None:
        """Do so, with its directory."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def prevent(self) -> None:
        """Let a file be where a directory is to be."""
        self.step.environment.unlink()
        self.step.path.rmdir()
        self.step.path.touch()

    def kill_shim(self) -> None:
        """Do so."""
        ShimRecord.read(self.step.shim).identity.signal(signal.SIGKILL)

    def is_at_rest(self) -> bool:
        """Ask the kernel: nobody holds the lock, and no child is left."""
        self.runner.reap()
        if self.runner._children or not self.step.lock.exists():
            return not self.runner._children
        with self.step.lock.open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True


class TestSpawnRunner(RunnerPromises):
    """A runner without a service manager."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        """Return a root with a job; no shim is left behind."""
        place = SpawnPlace(tmp_path)
        yield place
        place.let_go()
        place.until(place.is_at_rest, "no shim is left")

    def test_nobody_saw_a_death(self, place: Place) -> None:
        """So that nothing is said of it."""
        place.start()
        place.until_it_runs()
        place.kill_shim()
        place.until(place.is_at_rest, "it is collected")
        assert place.runner.cause_of_death(place.step) is None
