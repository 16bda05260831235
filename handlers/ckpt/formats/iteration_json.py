"""metadata.json of a save in MindFormers' new format: which file has which slice of each parameter.

    {"state_dict_metadata": {NAME: {"properties": {"dtype": "Float32", …}, "global_shape": [256, 32],
                                    "axis_fragmentations": [2, 1],
                                    "layout": {"device_matrix": [2, 2], "tensor_map": [0, -1], …},
                                    "chunk": [{"global_offset": [0], "local_shape": [128, 32]}, …]}, …},
     "storage_data": {"('NAME', (0,))": [{"file_name": "glm4-model-0000000-0000004.safetensors",
                                          "storage_rank": 0, "rank_group": [0, 2]}, …], …}}

Written by save_metadata of MindFormers 1.7 to 1.9, checkpoint/metadata.py. `global_offset` is no offset, but the number
of the slice, counted over the grid of slices with the last dimension running fastest (checkpoint/sharded_tensor.py).
tensor_map is as in strategy files; a list in it is a dimension that several of device_matrix cut.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import Fingerprint
from handlers.ckpt.errors import DamagedFileError, InconsistentError, UnsupportedLayoutError
from handlers.ckpt.files.opening import opened
from handlers.ckpt.layout import Layout, LayoutError, Tiling

if TYPE_CHECKING:
    from pydantic import TypeAdapter

NAME = "metadata.json"
MOST_BYTES = 256 << 20
"""Of a file: a thousand parameters of a thousand slices."""


@dataclass(frozen=True)
class SavedParameter:
    """One parameter of a save."""

    name: str
    type: str
    tiling: Tiling
    files: tuple[tuple[str, ...], ...]
    """The names of the files that hold each slice, by the slice's number."""


@dataclass(frozen=True)
class SaveMetadata:
    """What the file says, as far as it does not contradict itself."""

    path: Path
    fingerprint: Fingerprint
    parameters: Mapping[str, SavedParameter]
    ranks: int
    """How many ranks the run had, by those that are said to hold something."""
    stages: int
    """How many pipeline stages, by the groups of ranks that share a layout."""


@dataclass(frozen=True)
class _Properties:
    dtype: str


@dataclass(frozen=True)
class _Grid:
    device_matrix: tuple[int, ...]
    tensor_map: tuple[int | tuple[int, ...], ...]
    interleaved_parallel: bool = False
    rank_list: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Chunk:
    global_offset: tuple[int, ...]
    local_shape: tuple[int, ...]


@dataclass(frozen=True)
class _Described:
    properties: _Properties
    global_shape: tuple[int, ...]
    axis_fragmentations: tuple[int, ...]
    layout: _Grid
    chunk: tuple[_Chunk, ...]


@dataclass(frozen=True)
class _Stored:
    file_name: str
    storage_rank: int
    rank_group: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Root:
    state_dict_metadata: dict[str, _Described]
    storage_data: dict[str, tuple[_Stored, ...]]


@cache
def _adapter() -> "TypeAdapter[_Root]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - as in handlers.ckpt.publishing.manifest

    return TypeAdapter(_Root)


def read_save_metadata(path: Path) -> SaveMetadata:
    """Read metadata.json.

    Raises DamagedFileError where it is none, InconsistentError where it contradicts itself or names no file for a
    slice, UnsupportedLayoutError for a layout that is not merged, and OSError.
    """
    root, fingerprint = _read(path)
    parameters = {name: _parameter(path, name, tensor, root) for name, tensor in root.state_dict_metadata.items()}
    known = {
        _key(parameter.name, number) for parameter in parameters.values() for number in range(len(parameter.files))
    }
    stray = next((key for key in root.storage_data if key not in known), None)
    if stray is not None:
        raise _contradiction(path, stray[:200], "it has files, but is no slice of a parameter")
    stored = [entry for files in root.storage_data.values() for entry in files]
    ranks = {rank for entry in stored for rank in (entry.storage_rank, *entry.rank_group)}
    stages = {tensor.layout.rank_list for tensor in root.state_dict_metadata.values()}
    return SaveMetadata(path, fingerprint, parameters, len(ranks), len(stages))


def _read(path: Path) -> tuple[_Root, Fingerprint]:
    with opened(path) as (descriptor, fingerprint):
        if fingerprint.size > MOST_BYTES:
            raise DamagedFileError(f"{path} is over {MOST_BYTES >> 20} MiB; no {NAME} is")
        with open(descriptor, "rb", closefd=False) as stream:
            content = stream.read()
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    try:
        return _adapter().validate_json(content, strict=True), fingerprint
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ": ".join([str(path), *filter(None, [".".join(map(str, first["loc"]))[:200]])])
        raise DamagedFileError(
            f"{where}: {first['msg']}; it is no {NAME} of a save in MindFormers' new format, or cut off"
        ) from error


def _parameter(path: Path, name: str, described: _Described, root: _Root) -> SavedParameter:
    """Check one parameter by itself, and find its files."""
    if not name or not name.isprintable():
        raise _contradiction(path, repr(name[:200]), "it is no parameter's name")
    if described.layout.interleaved_parallel:
        raise UnsupportedLayoutError(
            f"{path}: {name}: its slices are interleaved (interleaved_parallel), which glmd does not merge",
            Code.UNSUPPORTED_LAYOUT,
        )
    layout = Layout(described.layout.device_matrix, described.layout.tensor_map, shape=described.global_shape)
    try:
        tiling = _tiling(layout, described)
    except LayoutError as error:
        raise _contradiction(path, name, str(error)) from error
    files = tuple(tuple(_files(path, name, number, root)) for number in range(len(described.chunk)))
    return SavedParameter(name, described.properties.dtype, tiling, files)


def _tiling(layout: Layout, described: _Described) -> Tiling:
    """Return how a parameter is cut; raises LayoutError where its description does not fit together."""
    shapes = {chunk.local_shape for chunk in described.chunk}
    if len(shapes) != 1 or any(size < 1 for dims in shapes for size in dims):
        raise LayoutError(f"its slices have {len(shapes)} shapes, or an impossible one")
    tiling = Tiling(layout, next(iter(shapes)))
    cuts = layout.cuts()
    if described.axis_fragmentations != cuts:
        raise LayoutError(f"axis_fragmentations {list(described.axis_fragmentations)} are not {list(cuts)}")
    if sorted(chunk.global_offset for chunk in described.chunk) != [(at,) for at in range(math.prod(cuts))]:
        raise LayoutError(f"it has {math.prod(cuts)} slices, but other ones are described, or not all")
    return tiling


def _files(path: Path, name: str, number: int, root: _Root) -> Iterator[str]:
    found = root.storage_data.get(_key(name, number), ())
    if not found:
        raise InconsistentError(f"{path}: {name}: no file has slice {number} of it", Code.SLICE_MISSING)
    for stored in found:
        if "/" in stored.file_name or "\0" in stored.file_name or not stored.file_name.endswith(".safetensors"):
            raise _contradiction(path, name, f"{stored.file_name[:200]!r} is not the name of a safetensors file in it")
        yield stored.file_name


def _key(name: str, number: int) -> str:
    """Return the key of a slice in storage_data, as Python writes it."""
    return str((name, (number,)))


def _contradiction(path: Path, what: str, why: str) -> InconsistentError:
    return InconsistentError(f"{path}: {what}: {why}: the file contradicts itself", Code.SAVE_UNFIT)
