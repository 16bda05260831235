"""What a file of data holds, in 64 digits: read piece by piece, and only while it stays the same file."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from handlers.ckpt.entry import Fingerprint
from handlers.ckpt.files.bounded import without_waiting
from handlers.records.inputs import Input

PIECE = 4 << 20
"""Bytes in memory at a time."""


class ChangedError(Exception):
    """The file is not the one that was noted."""


def noted(path: Path) -> Input:
    """Note a file as it is now. Raises OSError."""
    return _input(path, Fingerprint.of(path.stat()))


def sha256_of(file: Input, progress: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of what was noted as `file`; `progress` gets the bytes of each piece.

    Raises ChangedError where it is another file, before or after it was read, and OSError.
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(min(PIECE, file.bytes + 1)))
    descriptor = without_waiting(file.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _refuse_changed(file, os.fstat(descriptor))
        while count := os.readv(descriptor, [buffer]):
            digest.update(buffer[:count])
            progress(count)
        _refuse_changed(file, os.fstat(descriptor))
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def _refuse_changed(file: Input, status: os.stat_result) -> None:
    now = _input(Path(file.path), Fingerprint.of(status))
    if now.bytes != file.bytes:
        raise ChangedError(f"it has {now.bytes} bytes, and had {file.bytes}")
    if now != file:
        raise ChangedError("it was written or replaced")


def _input(path: Path, fingerprint: Fingerprint) -> Input:
    return Input(
        path=str(path), bytes=fingerprint.size, mtime_ns=fingerprint.mtime_ns, inode=fingerprint.inode
    )  # fmt: skip
