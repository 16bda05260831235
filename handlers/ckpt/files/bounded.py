"""Reading small files whole: nobody's file may fill the memory of who reads it, or keep him waiting for a writer."""

import errno
import os
import stat
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import DamagedFileError


def read_bounded(path: Path | str, most: int) -> bytes:
    """Return the content of `path`. Raises OSError, and DamagedFileError for more than `most` bytes or no file."""
    try:
        return _read(path, most)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return _read(path, most)  # another host has replaced what this one had opened: by its name it is another file


def _read(path: Path | str, most: int) -> bytes:
    descriptor = without_waiting(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):  # as `open` says it
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise DamagedFileError(f"{path}: not a regular file", Code.NOT_A_FILE)
        content = bytearray()
        if status.st_size <= most:
            wanted = status.st_size + 1  # it may grow while it is read
            while wanted and (block := os.read(descriptor, wanted)):
                content += block
                wanted = 0 if len(block) < wanted else most + 1 - len(content)
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        os.close(descriptor)
    if status.st_size > most or len(content) > most:
        raise DamagedFileError(f"{path}: larger than the {most} bytes that such a file may have", Code.NOT_A_FILE)
    return bytes(content)


def without_waiting(path: Path | str, flags: int) -> int:
    """Open what may be no file: a FIFO has nobody at its other end, and would be waited for."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
