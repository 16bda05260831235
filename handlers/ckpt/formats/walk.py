"""Walking a checkpoint file of either format, told apart by its first bytes: suffixes are what users make of them."""

import os
from pathlib import Path

from handlers.ckpt.entry import CkptFile, Format
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.opening import opened
from handlers.ckpt.formats.record import CIPHER_MAGICS, walk_ckpt
from handlers.ckpt.formats.safetensors import walk_safetensors

SNIFFED = 9
"""Bytes that tell the formats apart."""


def walk(path: Path) -> CkptFile:
    """Find every entry of the checkpoint file `path`, reading headers only.

    Raises DamagedFileError where the file is not whole to its last byte or of neither format, UnsupportedLayoutError
    for what glmd does not read, InconsistentError where the file changes meanwhile, and OSError.
    """
    with opened(path) as (descriptor, _):
        first = os.pread(descriptor, SNIFFED, 0)
    match format_of(first):
        case Format.SAFETENSORS:
            return walk_safetensors(path)
        case Format.CKPT:
            return walk_ckpt(path)
        case None if first:
            raise DamagedFileError(
                f"{path} is neither a .ckpt nor a safetensors file: it begins with the bytes {first.hex(' ')}; "
                "was it damaged, or written by another program?"
            )
    raise DamagedFileError(f"{path} is empty")


def format_of(first: bytes) -> Format | None:
    """Tell the format of a checkpoint file by its first bytes; None is neither. An encrypted file is a `.ckpt`."""
    # A safetensors header is under 4 GiB, and a JSON object; NULs are in no parameter's name.
    if first[4:SNIFFED] == b"\0\0\0\0{":
        return Format.SAFETENSORS
    if first[:1] == b"\x0a" or first.startswith(CIPHER_MAGICS):
        return Format.CKPT
    return None
