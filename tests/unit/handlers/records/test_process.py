"""Who a process is, beyond its pid."""

import errno
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that does nothing for long."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_living_process_is_known_and_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    """A signal reaches the process, and its descriptor tells of its end."""
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity.alive()
    descriptor = identity.pidfd()
    assert descriptor is not None
    assert identity.signal(signal.SIGTERM)
    assert select.select([descriptor], [], [], 30)[0] == [descriptor]
    os.close(descriptor)
    assert sleeper.wait() == -signal.SIGTERM


def test_process_of_another_parent_is_known() -> None:
    """Identity works for what this process did not start."""
    assert ProcessIdentity.of(os.getppid()).alive()
    assert ProcessIdentity.of(1).alive()


def test_zombie_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    """A process that ended counts as gone although nobody has waited for it."""
    identity = ProcessIdentity.of(sleeper.pid)
    descriptor = identity.pidfd()
    assert descriptor is not None
    sleeper.kill()
    select.select([descriptor], [], [], 30)
    os.close(descriptor)
    assert Path(f"/proc/{sleeper.pid}").exists()
    assert not identity.alive()
    assert identity.pidfd() is None
    assert not identity.signal(signal.SIGTERM)


def test_a_look_that_fails_keeps_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without descriptors left, whoever looks again and again must not use up those that come free."""

    def no_descriptor() -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    identity = ProcessIdentity.of(os.getpid())
    monkeypatch.setattr("handlers.records.process.boot_id", no_descriptor)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="Too many open files"):
        identity.alive()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_number_that_is_a_threads_by_now_is_gone() -> None:
    """Threads have their numbers from the same source as processes: a recorded pid may come back as one."""
    gate, started = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (started.set(), gate.wait()))
    thread.start()
    started.wait()
    try:
        assert thread.native_id is not None
        identity = replace(ProcessIdentity.of(os.getpid()), pid=thread.native_id)
        assert not identity.alive()
        assert not identity.signal(signal.SIGTERM)
        assert not ProcessIdentity.of(thread.native_id).alive()
    finally:
        gate.set()
        thread.join()


def test_ended_process_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    """A pid that nobody has is no error, but gone."""
    identity = ProcessIdentity.of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert not identity.alive()
    assert not identity.signal(signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        ProcessIdentity.of(sleeper.pid)


def test_recycled_pid_is_never_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    """Another start time or boot is another process, whatever its pid."""
    identity = ProcessIdentity.of(sleeper.pid)
    for other in (replace(identity, start_time=identity.start_time - 1), replace(identity, boot_id="an earlier boot")):
        assert not other.alive()
        assert not other.signal(signal.SIGKILL)
    assert sleeper.poll() is None


def test_name_with_blanks_and_parentheses(tmp_path: Path) -> None:
    """The start time is found behind any program name."""
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process:
        try:
            # exec gives the name; until then it is the interpreter's.
            while b"a) S 1 (b" not in Path(f"/proc/{process.pid}/stat").read_bytes():
                assert process.poll() is None
            identity = ProcessIdentity.of(process.pid)
            assert identity.start_time >= ProcessIdentity.of(os.getpid()).start_time
            assert identity.alive()
        finally:
            process.kill()


def test_no_descriptor_is_left_open(sleeper: subprocess.Popen[bytes]) -> None:
    """Looking at processes for weeks does not use up the descriptors."""
    identity = ProcessIdentity.of(sleeper.pid)
    before = sorted(Path("/proc/self/fd").iterdir())
    for _ in range(10):
        identity.alive()
        identity.signal(signal.SIGCONT)
        replace(identity, start_time=0).alive()
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_record_is_kept_in_a_file(tmp_path: Path) -> None:
    """shim.json brings back who the shim was."""
    record = ShimRecord.of_this_process(datetime.now(UTC))
    record.publish(tmp_path / "shim.json")
    assert ShimRecord.read(tmp_path / "shim.json") == record
    assert record.identity == ProcessIdentity.of(os.getpid())
    assert record.identity.alive()


def test_same_process_has_the_same_identity_for_all() -> None:
    """What another process reads of this one is what it reads of itself."""
    code = f"from handlers.records.process import ProcessIdentity; print(ProcessIdentity.of({os.getpid()}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == repr(ProcessIdentity.of(os.getpid()))
