"""What a checkpoint file holds, in words: entries, where their bytes lie, and what they are to a training."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from handlers.ckpt.state_names import named_state

TEXT = "str"
"""Text entries are UTF-32 of any length, with dims [0]."""

ITEM_SIZES = {
    "Bool": 1,
    "Int8": 1,
    "UInt8": 1,
    "Int4": 1,  # two numbers a byte (qint4x2); dims count bytes
    "Float8E4M3FN": 1,
    "Float8E5M2": 1,
    "HiFloat8": 1,
    "Int16": 2,
    "UInt16": 2,
    "Float16": 2,
    "BFloat16": 2,
    "Int32": 4,
    "UInt32": 4,
    "Float32": 4,
    TEXT: 4,
    "Int64": 8,
    "UInt64": 8,
    "Float64": 8,
    "Complex64": 8,
    "Complex128": 16,
}
"""Bytes of one element of each tensor_type that MindSpore writes, up to 2.10."""
REDUNDANCY = "remove_redundancy"
"""The key of a safetensors file's metadata."""
MAX_DIMS = 32
"""Dimensions of a tensor. MindSpore has 8 at most; the bound keeps a hostile file from filling the memory."""


class Format(StrEnum):
    """A checkpoint file's format."""

    CKPT = "ckpt"
    SAFETENSORS = "safetensors"


class OutputFormat(StrEnum):
    """What somebody may want an output to be."""

    CKPT = Format.CKPT.value
    SAFETENSORS = Format.SAFETENSORS.value
    HUGGINGFACE = "huggingface"
    """safetensors under the names that Hugging Face's models have for the weights."""

    @property
    def files(self) -> Format:
        """The format of its files."""
        return Format.CKPT if self is OutputFormat.CKPT else Format.SAFETENSORS


class Family(StrEnum):
    """What an entry is to a training. State that no list of optimizers names is a family of its prefix's name."""

    WEIGHTS = "weights"
    SCALARS = "scalars"
    OPTIMIZER = "optimizer"
    """Moments and accumulated gradients: useless outside the training, and most of the file."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of bytes in a file."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter of a checkpoint file. A tensor over 512 MiB is cut into chunks, hence several extents."""

    name: str
    dims: tuple[int, ...]
    """As written: a scalar has () or (0,) or (1,)."""
    type: str
    extents: tuple[Extent, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of content."""
        return sum(extent.length for extent in self.extents)

    @property
    def family(self) -> Family:
        """What the entry is by itself; what it is in its set, `handlers.ckpt.planning.families` says."""
        if named_state(self.name) is not None:
            return Family.OPTIMIZER
        if element_count(self.dims) == 1 or self.type == TEXT:
            return Family.SCALARS
        return Family.WEIGHTS


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What changes when a file changes."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Fingerprint":
        """Take it from a stat result."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True)
class CkptFile:
    """A walked checkpoint file. `entries` are in file order."""

    path: Path
    fingerprint: Fingerprint
    entries: Mapping[str, Entry]
    format: Format = Format.CKPT
    crc: int | None = None
    """The CRC32 that the file carries (`crc_check=True`); `check_crc` compares it with the content."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What a safetensors file says of itself; a `.ckpt` says nothing."""

    @property
    def lacks_replicas(self) -> bool:
        """Tell whether it leaves out what another rank's file has (remove_redundancy)."""
        return self.metadata.get(REDUNDANCY) == "True"


def shape(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that `dims` mean: (0,) is how MindSpore writes a scalar of shape () in a `.ckpt`."""
    return () if dims == (0,) else dims


def element_count(dims: tuple[int, ...]) -> int:
    """Count the elements of a tensor."""
    return math.prod(shape(dims))


@dataclass(frozen=True, slots=True)
class NotFinite:
    """How many elements of a parameter are no finite numbers. A complex one with a NaN part is counted as NaN only."""

    nan: int = 0
    infinite: int = 0

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.nan or self.infinite)

    def __str__(self) -> str:
        """Return it as `3 NaN, 1 infinite`."""
        counts = ((self.nan, "NaN"), (self.infinite, "infinite"))
        return ", ".join(f"{count} {what}" for count, what in counts if count) or "none"
