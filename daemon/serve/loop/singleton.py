"""One daemon a root: a lock that the kernel gives back when its holder dies, however it dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from handlers.codes import Code
from handlers.errors import RefusedError

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class AlreadyRunningError(RefusedError):
    """Another daemon serves this root."""

    code = Code.DAEMON_ALREADY_RUNNING


class LockLostError(AlreadyRunningError):
    """Another daemon took the root, after this one's lock file was removed."""

    code = Code.DAEMON_LOCK_LOST


class Lock:
    """The lock file `path`, held from the making to `close`: made if missing, never removed.

    Raises AlreadyRunningError, which names the process that holds it, and OSError when it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _locked(path)

    def close(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)

    def keep(self) -> None:
        """Hold the file that has the name now, where somebody removed or replaced it.

        Raises LockLostError when another daemon holds that one, and OSError.
        """
        mine = os.fstat(self._descriptor)
        with contextlib.suppress(FileNotFoundError):
            there = os.lstat(self._path)
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return
        try:
            descriptor = _locked(self._path)
        except AlreadyRunningError as error:
            raise LockLostError(f"this glmd's lock file was removed, and {error}") from error
        os.close(self._descriptor)
        self._descriptor = descriptor
        log.warning("lock_made_again", path=self._path, reason="somebody removed or replaced it")


@contextlib.contextmanager
def only_daemon(path: Path) -> Iterator[Lock]:
    """Hold the lock file `path` for the length of the block. Raises as Lock does."""
    lock = Lock(path)
    try:
        yield lock
    finally:
        lock.close()


def _locked(path: Path) -> int:
    """Return a descriptor of `path` that holds its lock."""
    # For this user alone: anyone who may read it may lock it, and the daemon would not start.
    # Python opens files close-on-exec, so a shim that outlives the daemon does not keep the lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise AlreadyRunningError(
                f"{path}: another glmd (pid {holder or 'not written yet'}) serves {path.parent}; "
                f"stop it first (systemctl stop glmd), or give this one another --root"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
