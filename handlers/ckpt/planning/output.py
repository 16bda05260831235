"""Where in which output file every parameter goes: known before a byte is written.

A `.ckpt` is what MindSpore's `save_checkpoint` would write, its chunks included; safetensors are what the library of
that name would write, in one file or several with an index.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handlers.ckpt.entry import REDUNDANCY, Format
from handlers.ckpt.formats import NewFile, safetensors
from handlers.ckpt.formats.known import FORMATS
from handlers.ckpt.planning.assembled import Written
from handlers.ckpt.planning.hf_base import SideFile
from handlers.ckpt.planning.hugging_face import HuggingFace, rename
from handlers.ckpt.planning.network import Names, is_rearranged
from handlers.ckpt.planning.plan import Plan

FILTERED = "filtered_transformed.ckpt"
"""The name that the merge by hand gives its output."""
TRANSFORMED = "transformed.ckpt"
"""Likewise, of what it merges before it filters."""
MODEL = "model"
INDEX = "model.safetensors.index.json"
"""Names of safetensors files, as Hugging Face's libraries and MindFormers expect them."""


OutputFile = NewFile[Written]
"""One file of the output that holds parameters."""
HF_SHARD_SIZE = 5_000_000_000
"""Bytes of content of a file for Hugging Face's libraries where nothing else is asked for; save_pretrained's limit."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What the user wants of the output."""

    format: Format = Format.CKPT
    max_shard_size: int | None = None
    """Bytes of content that a safetensors file may have; None is no limit. A larger tensor has a file of its own."""
    allow_not_finite: tuple[str, ...] = ()
    """Patterns, as `*`, of the names that may hold NaN or infinity."""
    hugging_face: HuggingFace | None = None
    """What the safetensors are to be for Hugging Face's libraries; None for MindFormers' names."""
    redundancy: bool | None = None
    """What safetensors with MindFormers' names say of remove_redundancy; None for nothing."""


@dataclass(frozen=True)
class Renaming:
    """Under whose names the output is, for the manifest."""

    names: Names
    rearranged: bool
    """Whether rows of q and k were put back where they were before MindFormers' import."""


@dataclass(frozen=True)
class Output:
    """All files of the output."""

    files: tuple[OutputFile, ...]
    index: bytes | None = None
    """The content of INDEX: which parameter is in which file, where there are several."""
    side_files: tuple[SideFile, ...] = ()
    """What a loader needs besides: the base model's configuration and tokenizer."""
    renaming: Renaming | None = None
    """None for MindFormers' own names."""

    @property
    def names(self) -> tuple[str, ...]:
        """What all files are called."""
        index = (INDEX,) if self.index is not None else ()
        return (*(file.name for file in self.files), *index, *(side_file.name for side_file in self.side_files))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        beside = len(self.index or b"") + sum(side_file.size for side_file in self.side_files)
        return beside + sum(file.size for file in self.files)


def lay_out(plan: Plan, options: OutputOptions) -> Output:
    """Place the plan's parameters.

    Raises UnsupportedLayoutError for a type that safetensors lack, ValueError for a .ckpt in several files, and what
    `rename` raises.
    """
    ckpt, equal = FORMATS[Format.CKPT], plan.equal_chunks
    transformed: tuple[Written, ...] = plan.transformed
    whole = (ckpt.place(TRANSFORMED, transformed, equal_chunks=equal),) if plan.transformed else ()
    if options.format is Format.CKPT:
        if options.max_shard_size is not None or options.hugging_face is not None:
            raise ValueError("only safetensors are cut into several files, or have Hugging Face's names")
        parameters: tuple[Written, ...] = plan.parameters
        return Output((*whole, ckpt.place(FILTERED, parameters, equal_chunks=equal)))
    if options.hugging_face is not None:
        return _for_hugging_face(plan, options, options.hugging_face, whole)
    redundancy = {} if options.redundancy is None else {REDUNDANCY: str(options.redundancy)}
    files = _safetensors(plan.parameters, options.max_shard_size, {**safetensors.MINDSPORE, **redundancy})
    return Output((*whole, *files), _index(files))


def _for_hugging_face(plan: Plan, options: OutputOptions, wanted: HuggingFace, whole: tuple[OutputFile, ...]) -> Output:
    renamed = rename(plan, wanted)
    files = _safetensors(renamed, options.max_shard_size or HF_SHARD_SIZE, safetensors.TORCH)
    side_files = wanted.base.side_files(_main_type(renamed)) if wanted.base is not None else ()
    renaming = Renaming(wanted.names, is_rearranged(wanted.networks))
    return Output((*whole, *files), _index(files), side_files, renaming)


def _main_type(tensors: Sequence[Written]) -> str:
    """Return the type that most bytes are of."""
    sizes = Counter[str]()
    for tensor in tensors:
        sizes[tensor.type] += tensor.nbytes
    return sizes.most_common(1)[0][0]


def _safetensors(tensors: Sequence[Written], limit: int | None, metadata: Mapping[str, str]) -> tuple[OutputFile, ...]:
    """Place tensors in one file, or in as many as the limit asks for."""
    groups = _groups(tensors, limit)
    count = len(groups)
    names = [f"{MODEL}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    if count == 1:
        names = [f"{MODEL}.safetensors"]
    return tuple(
        safetensors.place(name, group, equal_chunks=False, metadata=metadata)
        for name, group in zip(names, groups, strict=True)
    )


def _groups(parameters: Sequence[Written], limit: int | None) -> list[list[Written]]:
    """Fill one file after the other, as Hugging Face's libraries do."""
    groups: list[list[Written]] = [[]]
    room = limit
    for parameter in parameters:
        if limit is not None and room is not None:
            if groups[-1] and parameter.nbytes > room:
                groups.append([])
                room = limit
            room -= parameter.nbytes
        groups[-1].append(parameter)
    return groups


def _index(files: Sequence[OutputFile]) -> bytes | None:
    """Encode the index as Hugging Face's libraries read it: the bytes of all tensors, and each one's file.

    A single file has none.
    """
    if len(files) == 1:
        return None
    total = sum(placed.parameter.nbytes for file in files for placed in file.placed)
    where = {placed.parameter.name: file.name for file in files for placed in file.placed}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    return json.dumps(index, indent=2, ensure_ascii=False).encode() + b"\n"
