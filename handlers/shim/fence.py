"""What keeps a step from being run twice: a lock that the kernel frees, or a file that only one can have made.

The lock counts on this host. Between hosts of one file system it may not (man 5 nfs, local_lock), where link(2) does:
it makes a name or fails, no matter who else tries. Nobody frees that; who runs a step again makes a new attempt.
"""

import fcntl
from pathlib import Path
from typing import BinaryIO

from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import publish_bytes

_MOST_BYTES = 1 << 16


def locked(lock: BinaryIO) -> bool:
    """Lock the file; return False when another process has it. The kernel frees it when we die."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def linked(name: Path, content: bytes) -> bool:
    """Let `name` hold `content`, which names this process alone; return False where it is another's. Raises OSError.

    Where the answer of a file server is lost its client asks again, and finds what it has made itself.
    """
    try:
        publish_bytes(name, content, replace=False)
    except FileExistsError:
        return read_bounded(name, _MOST_BYTES) == content
    return True
