"""The forms of checkpoint and strategy files; of checkpoints one module a format, behind one Protocol."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from handlers.ckpt.entry import CkptFile, Extent

SNIFFED = 9
"""Bytes that tell the formats apart."""


class Described(Protocol):
    """A tensor that is to be written: an Entry, or a Parameter of the output."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def dims(self) -> tuple[int, ...]:
        """As MindSpore writes them: a scalar has () or (0,)."""

    @property
    def type(self) -> str:
        """Its type, by MindSpore's name."""

    @property
    def nbytes(self) -> int:
        """Bytes of content."""


Tensor = TypeVar("Tensor", bound=Described)


@dataclass(frozen=True, slots=True)
class Placed(Generic[Tensor]):
    """A tensor's place in a new file."""

    parameter: Tensor
    heads: tuple[bytes, ...]
    """What stands before the content of each extent; empty where nothing does."""
    extents: tuple[Extent, ...]
    """Where the content goes, in order."""


@dataclass(frozen=True)
class NewFile(Generic[Tensor]):
    """A file that is to be written: all of it but the tensors' bytes."""

    name: str
    preamble: bytes
    """What stands before the first tensor."""
    placed: tuple[Placed[Tensor], ...]
    """In the order in which they lie there."""
    size: int
    """Bytes of the file."""


class CheckpointFormat(Protocol):
    """A format of checkpoint files: a module with these functions, in `formats.known.FORMATS` by its name.

    What `place` lays out and the tensors' bytes fill, `walk_file` finds again: names, types, shapes and bytes, also of
    scalars and of tensors without elements. A scalar's dims are then as the format spells them.
    """

    def begins(self, first: bytes, /) -> bool:
        """Tell by the first SNIFFED bytes, or all of a shorter file, whether a file is of this format. Never raises.

        Of two formats one says so at most. A file of this one that is damaged behind them, or encrypted, counts.
        """

    def walk_file(self, path: Path, /) -> CkptFile:
        """Find every entry of the file `path`, whose extents are where its bytes lie.

        Headers alone are read, within bounds of memory and depth, whatever the file says of itself; nothing is mapped,
        and no descriptor stays open. Raises CkptError alone for what the file holds, with its name, and the place:

        * DamagedFileError where it is not whole to its last byte. One of a format that has no end of its own, and cut
          exactly between two tensors, looks whole: the ranks, or its CRC, tell;
        * UnsupportedLayoutError where it is sound, but holds what glmd does not merge;
        * InconsistentError where it changes meanwhile.

        Raises OSError where it cannot be read.
        """

    def place(self, name: str, tensors: Iterable[Tensor], /, *, equal_chunks: bool) -> NewFile[Tensor]:
        """Lay out a file `name` of these tensors, byte for byte as MindSpore saves them in this format; write nothing.

        Heads and extents cover the file without overlap or hole, to its end. `equal_chunks` says how a large tensor is
        cut, where the format cuts at all. Raises UnsupportedLayoutError for types of MindSpore that the format has not.
        """
