"""The CRC32 that `save_checkpoint(crc_check=True)` puts into a file, compared with the file's content.

In a `.ckpt` it is of all bytes before it. In a safetensors it is of each tensor's name and content, in the order of the
names, with one oddity of MindSpore's `bytes(array)`: of an integer without dimensions, Python makes as many NULs as it
says. (mindspore/train/serialization.py of 2.10; MindSpore itself compares only where `load_checkpoint` is told to.)
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from handlers.ckpt.entry import CkptFile, Entry, Extent, Format
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.opening import reopened
from handlers.ckpt.files.transfer import blocks
from handlers.ckpt.formats.record import TRAILER_SIZE

BLOCK = 1 << 20
"""Bytes in memory at a time."""
MAX_NULS = 1 << 32
"""To have written more, MindSpore would have needed as many bytes of memory for one number."""


def check_crc(file: CkptFile) -> None:
    """Read the whole file, if it carries a CRC, and compare.

    Raises DamagedFileError where it does not match, InconsistentError where the file is no more what was walked or
    changes meanwhile, and OSError.
    """
    if file.crc is None:
        return
    with reopened(file, "since it was walked") as descriptor:
        found = _of_safetensors(file, descriptor) if file.format is Format.SAFETENSORS else _of_ckpt(file, descriptor)
    if found != file.crc:
        raise DamagedFileError(
            f"{file.path}: its content has CRC {found:#010x}, but it was saved with {file.crc:#010x}: the file was "
            "damaged after MindSpore wrote it; take another copy, or another tag"
        )


def _of_ckpt(file: CkptFile, descriptor: int) -> int:
    whole = Extent(0, file.fingerprint.size - TRAILER_SIZE)
    crc = 0
    for block in _blocks(descriptor, whole, file.path):
        crc = zlib.crc32(block, crc)
    return crc


def _of_safetensors(file: CkptFile, descriptor: int) -> int:
    crc = 0
    for name in sorted(file.entries):
        crc = zlib.crc32(name.encode(), crc)
        for block in _saved_bytes(file.entries[name], descriptor, file.path):
            crc = zlib.crc32(block, crc)
    return crc


def _saved_bytes(entry: Entry, descriptor: int, path: Path) -> Iterator[memoryview]:
    """Yield what MindSpore took for the bytes of a tensor."""
    (extent,) = entry.extents
    if entry.dims or not entry.type.startswith(("Int", "UInt")):
        yield from _blocks(descriptor, extent, path)
        return
    number = int.from_bytes(os.pread(descriptor, extent.length, extent.offset), "little", signed=entry.type[0] == "I")
    if not 0 <= number <= MAX_NULS:
        raise DamagedFileError(
            f"{path}: at byte {extent.offset}: {entry.name}: no file with a CRC has the number {number} here; it was "
            "damaged after MindSpore wrote it; take another copy, or another tag"
        )
    nuls = memoryview(bytes(min(number, BLOCK)))
    for at in range(0, number, BLOCK):
        yield nuls[: number - at]


def _blocks(descriptor: int, extent: Extent, path: Path) -> Iterator[memoryview]:
    return blocks(descriptor, (extent,), path, memoryview(bytearray(max(1, min(BLOCK, extent.length)))))
