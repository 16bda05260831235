"""Files of a job, opened so that nobody who writes in its directory can have another file shown in their place."""

import errno
import io
import os
import stat
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Not blocking: a FIFO has nobody at its other end, and would be waited for."""
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENAMETOOLONG})
"""Of these a file is not there, or something else is: a link, a directory, a socket."""


def opened_below(top: Path, path: Path) -> io.FileIO:
    """Open the regular file `path` below the directory `top`: each step of the way from there, and through no link.

    Raises FileNotFoundError where there is no regular file, and OSError.
    """
    *directories, name = path.relative_to(top).parts
    if ".." in (*directories, name):
        raise FileNotFoundError(errno.ENOENT, "leads elsewhere", str(path))
    try:
        at = os.open(top, _DIRECTORY)
        try:
            for part in directories:
                below = os.open(part, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            descriptor = os.open(name, _FILE, dir_fd=at)
        finally:
            os.close(at)
    except ValueError as error:  # a NUL in a name
        raise FileNotFoundError(errno.ENOENT, str(error), str(path)) from error
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise FileNotFoundError(errno.ENOENT, "no regular file is there", str(path)) from error
        error.filename = str(path)
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no regular file is there", str(path))
    return os.fdopen(descriptor, "rb", buffering=0)


def is_below(top: Path, path: Path) -> bool:
    """Say whether there is a regular file that `opened_below` opens."""
    try:
        opened_below(top, path).close()
    except OSError:
        return False
    return True


def read_below(top: Path, path: Path, most: int) -> bytes:
    """Return the first `most` bytes of such a file. Raises as `opened_below` does."""
    with opened_below(top, path) as stream:
        return piece(stream, 0, most)


def piece(stream: io.FileIO, start: int, size: int) -> bytes:
    """Return up to `size` bytes from `start` on: fewer only where the file ends. Raises OSError."""
    content = bytearray()
    while len(content) < size and (block := os.pread(stream.fileno(), size - len(content), start + len(content))):
        content += block
    return bytes(content)
