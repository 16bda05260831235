"""Where in which output file every parameter goes: known before a byte is written.

A `.ckpt` is what MindSpore's `save_checkpoint` would write, its chunks included; safetensors are what the library of
that name would write, in one file or several with an index.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from handlers.ckpt.entry import Format
from handlers.ckpt.formats import NewFile
from handlers.ckpt.formats.known import FORMATS
from handlers.ckpt.planning.plan import Parameter, Plan

FILTERED = "filtered_transformed.ckpt"
"""The name that the merge by hand gives its output."""
TRANSFORMED = "transformed.ckpt"
"""Likewise, of what it merges before it filters."""
MODEL = "model"
INDEX = "model.safetensors.index.json"
"""Names of safetensors files, as Hugging Face's libraries and MindFormers expect them."""


OutputFile = NewFile[Parameter]
"""One file of the output."""


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
    ckpt, chosen, equal = FORMATS[Format.CKPT], FORMATS[options.format], plan.equal_chunks
    whole = (ckpt.place(TRANSFORMED, plan.transformed, equal_chunks=equal),) if plan.transformed else ()
    if options.format is Format.CKPT:
        if options.max_shard_size is not None:
            raise ValueError("only safetensors are cut into several files")
        return Output((*whole, ckpt.place(FILTERED, plan.parameters, equal_chunks=equal)))
    groups = _groups(plan.parameters, options.max_shard_size)
    if len(groups) == 1:
        return Output((*whole, chosen.place(f"{MODEL}.safetensors", groups[0], equal_chunks=equal)))
    files = tuple(
        chosen.place(f"{MODEL}-{number:05}-of-{len(groups):05}.safetensors", group, equal_chunks=equal)
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
