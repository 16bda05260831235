"""One daemon a root: a lock that the kernel gives back when its holder dies, however it dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from handlers.errors import RefusedError


class AlreadyRunningError(RefusedError):
    """Another daemon serves this root."""


@contextlib.contextmanager
def only_daemon(lock: Path) -> Iterator[None]:
    """Hold the lock file `lock` (made if missing, never removed) for the length of the block.

    Raises AlreadyRunningError, which names the process that holds it, and OSError when it cannot be made.
    """
    # For this user alone: whoever may read it may lock it, and the daemon would not start.
    # Python opens files close-on-exec, so a shim that outlives the daemon does not keep the lock.
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise AlreadyRunningError(
                f"{lock}: another glmd (pid {holder or 'not written yet'}) serves {lock.parent}; "
                f"stop it first (systemctl stop glmd), or give this one another --root"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
