"""A save in MindFormers' new format: a directory of files, and metadata.json that says which has which slice.

No strategy files and no ranks' directories: of each slice it is said which files hold it, one (with
save_remove_redundancy) or one a replica. What the tensors' own headers say must be the same. The format keeps buffers
that the old one's callback leaves out (core/callback/callback.py in MindFormers 1.9); they are no weights, and go.
"""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import ITEM_SIZES, CkptFile, Family, shape
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.formats.iteration_json import NAME, SavedParameter, SaveMetadata, read_save_metadata
from handlers.ckpt.formats.safetensors import in_order
from handlers.ckpt.formats.walk import walk
from handlers.ckpt.planning.families import families_of
from handlers.ckpt.planning.plan import Parameter, Plan, check_keep

BUFFERS = (
    "_cache",
    "fi_parameter",
    "zeros_k_pe",
    "zeros_k_nope",
    "zeros_value_states",
    "_device_local_norm",
    "_device_local_loss",
    "expert_load",
    "max_logits_val",
)
"""What is in the names of parameters that are no weights, but what a device keeps for inference and for its log."""


@dataclass(frozen=True)
class IterationSet:
    """One save, its headers read and found to be what metadata.json says."""

    directory: Path
    metadata: SaveMetadata
    shards: Mapping[int, CkptFile]
    """The files, numbered in the order of their names."""

    def plan(self, *, keep: Collection[str] = (Family.WEIGHTS, Family.SCALARS), transformed: bool = False) -> Plan:
        """Plan the merge of what is to be kept, as `handlers.ckpt.plan_merge` does. Raises InconsistentError."""
        entries = {name: entry for shard in self.shards.values() for name, entry in shard.entries.items()}
        ordered = [entry.name for entry in in_order(entries.values()) if not is_buffer(entry.name)]
        # A slice may be of one element where the whole is not.
        families = families_of(
            {name: replace(entries[name], dims=self.metadata.parameters[name].tiling.dims) for name in ordered}
        )
        check_keep(keep, families, self.directory)
        numbers = {shard.path.name: number for number, shard in self.shards.items()}
        parameters = {
            name: _parameter(self.metadata.parameters[name], numbers)
            for name in ordered
            if transformed or families.of[name] in keep
        }
        kept = tuple(parameter for name, parameter in parameters.items() if families.of[name] in keep)
        if not kept:
            raise InconsistentError(f"{self.directory} has no entry to keep ({', '.join(keep)})", Code.NOTHING_TO_KEEP)
        return Plan(
            shards=self.shards,
            strategy=None,
            parameters=kept,
            families=families,
            left=tuple(name for name in ordered if families.of[name] not in keep),
            transformed=tuple(parameters.values()) if transformed else (),
            described_by={self.metadata.path: self.metadata.fingerprint},
        )


def is_buffer(name: str) -> bool:
    """Tell whether a parameter is none of the network's own."""
    return any(buffer in name for buffer in BUFFERS)


def open_iteration(directory: Path) -> IterationSet:
    """Read metadata.json in `directory` and the headers of the files that it names.

    Raises the errors of `walk` and `read_save_metadata`, InconsistentError where they contradict each other or a file
    lies there that metadata.json does not name, and OSError.
    """
    try:
        metadata = read_save_metadata(directory / NAME)
    except FileNotFoundError as error:
        raise InconsistentError(
            f"{directory / NAME} is not there: is the save still being written, or removed?", Code.SHARDS_INCOMPLETE
        ) from error
    names = sorted({name for parameter in metadata.parameters.values() for files in parameter.files for name in files})
    files = {name: _walked(metadata, directory / name) for name in names}
    for path in sorted(directory.glob("*.safetensors")):
        if path.name not in files:
            raise InconsistentError(
                f"{path}: {metadata.path} does not name it: is it of another save?", Code.SAVE_UNFIT
            )
    _check(metadata, files)
    return IterationSet(directory, metadata, dict(enumerate(files.values())))


def _walked(metadata: SaveMetadata, path: Path) -> CkptFile:
    try:
        return walk(path)
    except FileNotFoundError as error:
        raise InconsistentError(
            f"{path} is not there, though {metadata.path} names it: is the save still being written, or removed?",
            Code.SHARDS_INCOMPLETE,
        ) from error


def _check(metadata: SaveMetadata, files: Mapping[str, CkptFile]) -> None:
    """Refuse files that hold anything else than metadata.json says."""
    slices: dict[tuple[str, str], int] = {}
    for parameter in metadata.parameters.values():
        for number, holders in enumerate(parameter.files):
            for holder in holders:
                if slices.setdefault((holder, parameter.name), number) != number:
                    raise InconsistentError(
                        f"{metadata.path}: {parameter.name}: {holder} has two slices of it there",
                        Code.SAVE_UNFIT,
                    )
                _check_entry(metadata, parameter, files[holder])
    for name, file in files.items():
        for entry in file.entries:
            if (name, entry) not in slices:
                raise InconsistentError(
                    f"{file.path}: {entry}: {metadata.path} does not say that it is there: are they of one save?",
                    Code.SAVE_UNFIT,
                )


def _check_entry(metadata: SaveMetadata, parameter: SavedParameter, file: CkptFile) -> None:
    """Refuse a slice that is not there, or has another type or shape than it is said to have."""
    entry = file.entries.get(parameter.name)
    if entry is None:
        raise InconsistentError(
            f"{file.path}: {parameter.name}: it is missing here, though {metadata.path} says that it is there",
            Code.SLICE_MISSING,
        )
    expected = f"{parameter.type}{list(parameter.tiling.slice_dims)}"
    there = f"{entry.type}{list(shape(entry.dims))}"
    if there != expected:
        raise InconsistentError(
            f"{file.path}: {parameter.name}: it is {there}, but {metadata.path} says {expected}: are they of one save?",
            Code.SAVE_UNFIT,
        )


def _parameter(saved: SavedParameter, numbers: Mapping[str, int]) -> Parameter:
    """Plan one parameter: its slices' holders are the files' numbers."""
    tiles = itertools.product(*map(range, saved.tiling.layout.cuts()))
    found = {
        tile: tuple(sorted({numbers[name] for name in files})) for tile, files in zip(tiles, saved.files, strict=True)
    }
    tiling = replace(saved.tiling, found=found)
    return Parameter(saved.name, tiling.dims, saved.type, ITEM_SIZES[saved.type], tiling, laid=True)
