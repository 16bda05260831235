"""Who has a shard open for writing: asked of the kernel of this host.

A read lease (F_SETLEASE in fcntl(2)) is granted only where no process of this host has the file open for writing, and
only to the file's owner, or to root.
"""

import fcntl
import os
import signal
from enum import Enum, auto
from pathlib import Path


class Writers(Enum):
    """Who has a file open for writing."""

    NOBODY = auto()
    SOMEBODY = auto()
    UNKNOWN = auto()
    """The file is another user's, or the file system knows no leases, or the file cannot be opened."""


def writers_of(path: Path) -> Writers:
    """Say who, on this host, has the regular file `path` open for writing. Raises FileNotFoundError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # Anyone who opens the file for writing in the instant of the lease is let through at once. The kernel then
            # sends us a signal: one that does nothing by default, instead of SIGIO, which ends a process.
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        finally:
            os.close(descriptor)
    except BlockingIOError:
        return Writers.SOMEBODY
    except FileNotFoundError:
        raise
    except OSError:
        return Writers.UNKNOWN
    return Writers.NOBODY
