"""Where in which output file every parameter goes: known before a byte is written.

A `.ckpt` is what MindSpore's `save_checkpoint` would write, its chunks included; safetensors are what the library of
that name would write, in one file or several with an index.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handlers.ckpt.entry import ITEM_SIZES, Extent, Format
from handlers.ckpt.formats.record import frame
from handlers.ckpt.formats.safetensors import header
from handlers.ckpt.planning.plan import Parameter, Plan

FILTERED = "filtered_transformed.ckpt"
"""The name that the merge by hand gives its output."""
TRANSFORMED = "transformed.ckpt"
"""Likewise, of what it merges before it filters."""
MODEL = "model"
INDEX = "model.safetensors.index.json"
"""Names of safetensors files, as Hugging Face's libraries and MindFormers expect them."""
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
    """What the user wants of the output."""

    format: Format = Format.CKPT
    max_shard_size: int | None = None
    """Bytes of content that a safetensors file may have; None is no limit. A larger tensor has a file of its own."""
    allow_not_finite: tuple[str, ...] = ()
    """Patterns, as `*`, of the names that may hold NaN or infinity."""


@dataclass(frozen=True)
class Output:
    """All files of the output."""

    files: tuple[OutputFile, ...]
    index: bytes | None = None
    """The content of INDEX: which parameter is in which file, where there are several."""

    @property
    def names(self) -> tuple[str, ...]:
        """What all files are called."""
        return (*(file.name for file in self.files), *((INDEX,) if self.index is not None else ()))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files) + len(self.index or b"")


def lay_out(plan: Plan, options: OutputOptions) -> Output:
    """Place the plan's parameters.

    Raises UnsupportedLayoutError for a type that safetensors lack, and ValueError for a .ckpt in several files.
    """
    whole = (_ckpt(TRANSFORMED, plan.transformed, equal_chunks=plan.equal_chunks),) if plan.transformed else ()
    if options.format is Format.CKPT:
        if options.max_shard_size is not None:
            raise ValueError("only safetensors are cut into several files")
        return Output((*whole, _ckpt(FILTERED, plan.parameters, equal_chunks=plan.equal_chunks)))
    groups = _groups(plan.parameters, options.max_shard_size)
    if len(groups) == 1:
        return Output((*whole, _safetensors(f"{MODEL}.safetensors", groups[0])))
    files = tuple(
        _safetensors(f"{MODEL}-{number:05}-of-{len(groups):05}.safetensors", group)
        for number, group in enumerate(groups, 1)
    )
    return Output((*whole, *files), _index(files))


def _groups(parameters: Sequence[Parameter], limit: int | None) -> list[list[Parameter]]:
    """Fill one file after the other, as Hugging Face's libraries do."""
    groups: list[list[Parameter]] = [[]]
    room = limit
    for parameter in parameters:
        if limit is not None and room is not None:
            if groups[-1] and parameter.nbytes > room:
                groups.append([])
                room = limit
            room -= parameter.nbytes
        groups[-1].append(parameter)
    return groups


def _index(files: Sequence[OutputFile]) -> bytes:
    """Encode the index as Hugging Face's libraries read it: the bytes of all tensors, and each one's file."""
    total = sum(placed.parameter.nbytes for file in files for placed in file.placed)
    where = {placed.parameter.name: file.name for file in files for placed in file.placed}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    return json.dumps(index, indent=2, ensure_ascii=False).encode() + b"\n"


def _ckpt(name: str, parameters: tuple[Parameter, ...], *, equal_chunks: bool) -> OutputFile:
    placed, offset = [], 0
    for parameter in parameters:
        heads, extents = [], []
        cut = (
            _equal_chunks(parameter.nbytes, ITEM_SIZES[parameter.type])
            if equal_chunks
            else _full_chunks(parameter.nbytes)
        )
        for length in cut:
            head = frame(parameter.name, parameter.dims, parameter.type, length)
            heads.append(head)
            extents.append(Extent(offset + len(head), length))
            offset += len(head) + length
        placed.append(Placed(parameter, tuple(heads), tuple(extents)))
    return OutputFile(name, b"", tuple(placed), offset)


def _full_chunks(nbytes: int) -> Iterator[int]:
    """Yield the bytes of each chunk as newer versions of MindSpore cut: the last one takes what is left."""
    for start in range(0, max(1, nbytes), CHUNK):
        yield min(CHUNK, nbytes - start)


def _equal_chunks(nbytes: int, item_size: int) -> Iterator[int]:
    """Yield the bytes of each chunk, as numpy.array_split cuts: equal, the first ones an element longer."""
    count = max(1, -(-nbytes // CHUNK))
    elements, longer = divmod(nbytes // item_size, count)
    for index in range(count):
        yield (elements + (index < longer)) * item_size


def _safetensors(name: str, parameters: Sequence[Parameter]) -> OutputFile:
    """Place parameters behind a header, in the order that the safetensors library gives them."""
    preamble, ordered = header(parameters)
    placed, offset = [], len(preamble)
    for parameter in ordered:
        placed.append(Placed(parameter, (), (Extent(offset, parameter.nbytes),)))
        offset += parameter.nbytes
    return OutputFile(name, preamble, tuple(placed), offset)
