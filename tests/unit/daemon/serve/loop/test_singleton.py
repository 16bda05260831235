"""Promises of daemon.serve.loop.singleton."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.serve.loop.singleton import AlreadyRunningError, LockLostError, only_daemon

HOLD = """
import sys
from pathlib import Path
from daemon.serve.loop.singleton import only_daemon
with only_daemon(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_daemon_is_told_who_holds_the_root(tmp_path: Path) -> None:
    """By pid; and a daemon that is killed leaves no lock behind."""
    lock = tmp_path / "glmd.lock"
    lock.write_text("99999999 and what an earlier daemon left\n")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunningError, match=rf"another glmd \(pid {holder.pid}\)"), only_daemon(lock):
            pass
        holder.kill()
        holder.wait()
    with only_daemon(lock):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_the_root_is_free_after_the_block(tmp_path: Path) -> None:
    """However the block ends."""
    lock = tmp_path / "glmd.lock"
    with pytest.raises(KeyboardInterrupt), only_daemon(lock):
        raise KeyboardInterrupt
    with only_daemon(lock):
        pass


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """A shim outlives its daemon, and the next daemon must be able to start."""
    lock = tmp_path / "glmd.lock"
    with only_daemon(lock):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    with child, only_daemon(lock):
        child.communicate()


def test_the_lock_is_no_way_to_write_elsewhere(tmp_path: Path) -> None:
    """A symbolic link in its place is not followed."""
    (tmp_path / "glmd.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), only_daemon(tmp_path / "glmd.lock"):
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("replaced", (True, False))
def test_a_lock_file_that_is_removed_is_made_again(tmp_path: Path, *, replaced: bool) -> None:
    """So that no second daemon starts; until then what is there stays as it is."""
    path = tmp_path / "glmd.lock"
    with only_daemon(path) as lock:
        before = path.stat().st_ino
        lock.keep()
        assert path.stat().st_ino == before
        path.unlink()
        if replaced:
            path.write_text("somebody else's")
        lock.keep()
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(AlreadyRunningError), only_daemon(path):
            pass


def test_a_daemon_that_lost_its_lock_to_another_is_told(tmp_path: Path) -> None:
    """It has to end: two would do everything twice."""
    path = tmp_path / "glmd.lock"
    with only_daemon(path) as lock:
        path.unlink()
        with only_daemon(path), pytest.raises(LockLostError, match=r"lock file was removed, and .*another glmd \(pid"):
            lock.keep()
