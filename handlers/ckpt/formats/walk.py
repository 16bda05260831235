"""Walking a checkpoint file of any format, told by its first bytes: suffixes are what users make of them."""

import os
from pathlib import Path

from handlers.ckpt.entry import CkptFile, Format
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.opening import opened
from handlers.ckpt.formats import SNIFFED
from handlers.ckpt.formats.known import FORMATS


def walk(path: Path) -> CkptFile:
    """Find every entry of the checkpoint file `path`, reading headers only.

    Raises what CheckpointFormat.walk_file does, and DamagedFileError where the file is of no format.
    """
    with opened(path) as (descriptor, _):
        first = os.pread(descriptor, SNIFFED, 0)
    found = format_of(first)
    if found is not None:
        return FORMATS[found].walk_file(path)
    if first:
        raise DamagedFileError(
            f"{path} is neither a .ckpt nor a safetensors file: it begins with the bytes {first.hex(' ')}; "
            "was it damaged, or written by another program?"
        )
    raise DamagedFileError(f"{path} is empty")


def format_of(first: bytes) -> Format | None:
    """Tell the format of a checkpoint file by its first bytes; None is none that glmd knows."""
    return next((name for name, known in FORMATS.items() if known.begins(first)), None)
