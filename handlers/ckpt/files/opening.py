"""Opening a checkpoint file to read it: a regular file, that stays as it is until it is closed again."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import CkptFile, Fingerprint
from handlers.ckpt.errors import DamagedFileError, InconsistentError


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[int, Fingerprint]]:
    """Yield a descriptor of `path` and its fingerprint.

    Raises DamagedFileError for a FIFO, a directory or a device, InconsistentError where the file has changed when the
    block ends, and OSError.
    """
    # Not blocking: opening a FIFO that nobody writes to would wait forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedFileError(f"{path} is no regular file ({stat.filemode(status.st_mode)})", Code.NOT_A_FILE)
        yield descriptor, Fingerprint.of(status)
        if Fingerprint.of(os.fstat(descriptor)) != Fingerprint.of(status):
            raise InconsistentError(
                f"{path} changed while it was read: wait until the training has closed it", Code.CHANGED
            )
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def reopened(file: CkptFile, when: str) -> Iterator[int]:
    """Yield a descriptor of a walked file; `when` it may have changed is for the message.

    Raises InconsistentError where it is not, or no longer when the block ends, what was walked, and OSError.
    """
    with opened(file.path) as (descriptor, fingerprint):
        if fingerprint != file.fingerprint:
            raise InconsistentError(
                f"{file.path} changed {when}: is a training still writing it? Try again when it has ended", Code.CHANGED
            )
        yield descriptor
