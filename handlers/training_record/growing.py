"""A file that grows by whole pieces, however writing one fails."""

import os
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""A FIFO in the file's place is nothing to wait for."""


class GrowingFile:
    """One writer's file. Nothing is brought to the disk (fsync): what a power cut takes can be made again.

    A piece counts when `keep` is called; until then, writing another one puts it in the place of the piece before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: int | None = None
        """The length up to which it is whole; None before the first piece."""
        self._lead = b""
        """What the next piece begins with."""
        self._written = 0

    def write(self, piece: bytes, *, beginning: bytes, joint: bytes = b"") -> None:
        """Write a piece behind what is kept: after `beginning` in a new file, `joint` in one that was there before.

        Raises OSError; then nothing has changed that counts.
        """
        descriptor = os.open(self._path, _FLAGS, 0o640)
        try:
            size = os.fstat(descriptor).st_size
            if self._kept is None or size < self._kept:  # somebody has shortened or removed it
                self._kept, self._lead = size, joint if size else beginning
            if size > self._kept:
                os.ftruncate(descriptor, self._kept)
            os.lseek(descriptor, self._kept, os.SEEK_SET)
            rest = memoryview(self._lead + piece)
            self._written = self._kept + len(rest)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

    def keep(self) -> None:
        """Let the piece count that was written last."""
        self._kept, self._lead = self._written, b""

    def was_replaced(self) -> None:
        """Go on at the end of the file that now has the name. Raises OSError."""
        self._kept = self._path.stat().st_size
