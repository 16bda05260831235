"""Where in which output file every parameter goes: known before a byte is written.

A `.ckpt` is what MindSpore's `save_checkpoint` would write, its chunks included.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from handlers.ckpt.entry import ITEM_SIZES, Extent, Format
from handlers.ckpt.plan import Parameter, Plan
from handlers.ckpt.record import frame

FILTERED = "filtered_transformed.ckpt"
"""The name that the merge by hand gives its output."""
CHUNK = 512 << 20
"""Bytes. `save_checkpoint` cuts larger tensors into consecutive records (SLICE_SIZE, 512 * 1024 KiB)."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A parameter's place in a file."""

    parameter: Parameter
    heads: tuple[bytes, ...]
    """What stands before the content of each chunk."""
    extents: tuple[Extent, ...]
    """Where the content goes, one extent a chunk."""


@dataclass(frozen=True)
class OutputFile:
    """One file of the output."""

    name: str
    preamble: bytes
    """What stands before the first parameter."""
    placed: tuple[Placed, ...]
    size: int
    """Bytes of the file."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What the user wants of the output's form."""

    format: Format = Format.CKPT


@dataclass(frozen=True)
class Output:
    """All files of the output."""

    files: tuple[OutputFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def lay_out(plan: Plan, options: OutputOptions) -> Output:
    """Place the plan's parameters."""
    del options
    return Output((_ckpt(FILTERED, plan.parameters),))


def _ckpt(name: str, parameters: tuple[Parameter, ...]) -> OutputFile:
    placed, offset = [], 0
    for parameter in parameters:
        heads, extents = [], []
        for length in _chunks(parameter.nbytes, ITEM_SIZES[parameter.type]):
            head = frame(parameter.name, parameter.dims, parameter.type, length)
            heads.append(head)
            extents.append(Extent(offset + len(head), length))
            offset += len(head) + length
        placed.append(Placed(parameter, tuple(heads), tuple(extents)))
    return OutputFile(name, b"", tuple(placed), offset)


def _chunks(nbytes: int, item_size: int) -> Iterator[int]:
    """Yield the bytes of each chunk, as numpy.array_split cuts: equal, the first ones an element longer."""
    count = max(1, -(-nbytes // CHUNK))
    elements, longer = divmod(nbytes // item_size, count)
    for index in range(count):
        yield (elements + (index < longer)) * item_size
