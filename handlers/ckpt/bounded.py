"""Reading small files whole: nobody's file may fill the memory of who reads it, or keep him waiting for a writer."""

import os
import stat
from pathlib import Path

from handlers.ckpt.errors import DamagedFileError


def read_bounded(path: Path, most: int) -> bytes:
    """Return the content of `path`. Raises OSError, and DamagedFileError for more than `most` bytes or no file."""
    with open(path, "rb", opener=without_waiting) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise DamagedFileError(f"{path}: not a regular file")
        content = stream.read(most + 1) if status.st_size <= most else b""  # it may grow while it is read
    if status.st_size > most or len(content) > most:
        raise DamagedFileError(f"{path}: larger than the {most} bytes that such a file may have")
    return content


def without_waiting(path: str, flags: int) -> int:
    """Open what may be no file: a FIFO has nobody at its other end, and would be waited for."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
