"""Files and sets of files in rows, for people to look at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.ckpt.copying.finite import Tally
from handlers.ckpt.entry import ITEM_SIZES, CkptFile, Entry, Format, NotFinite, element_count
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.opening import reopened
from handlers.ckpt.files.transfer import blocks
from handlers.ckpt.formats import SNIFFED
from handlers.ckpt.formats.strategy import Strategy, read_strategy
from handlers.ckpt.formats.walk import format_of, walk
from handlers.ckpt.planning.checkpoint_set import CheckpointSet
from handlers.ckpt.planning.coverage import Coverage, Slice, Spread, coverage, spread_of
from handlers.ckpt.planning.families import Families, families_of
from handlers.ckpt.planning.iteration import IterationSet, is_buffer
from handlers.ckpt.publishing.manifest import NAME, read_manifest

BLOCK = 1 << 20
"""Bytes read at once; a multiple of every item size."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One parameter of a checkpoint file. `chunks` counts its records: a tensor over 512 MiB has several."""

    name: str
    dims: tuple[int, ...]
    type: str
    bytes: int
    chunks: int
    family: str
    """Within the file or, of several, within all of them."""
    spread: Spread | None = None
    """Which ranks hold which slice of the whole; None without a strategy, or where it does not name the parameter."""


@dataclass(frozen=True, slots=True)
class LayoutRow:
    """One parameter of a strategy file."""

    name: str
    stages: tuple[int, ...]
    """The pipeline stages that have it."""
    dev_matrix: tuple[int, ...]
    tensor_map: tuple[int | tuple[int, ...], ...]
    optimizer_shards: int
    """opt_weight_shard_size: 0 none, -1 over all replicas."""


@dataclass(frozen=True, slots=True)
class CkptTable:
    """A checkpoint file."""

    path: Path
    format: Format
    size: int
    rows: tuple[EntryRow, ...]
    not_finite: Mapping[str, NotFinite] | None
    """The parameters that hold NaN or infinity; None where they were not counted."""


@dataclass(frozen=True, slots=True)
class StrategyTable:
    """A strategy file."""

    path: Path
    stages: tuple[int, ...]
    """Pipeline stages."""
    ranks: int
    """Of each stage."""
    rows: tuple[LayoutRow, ...]


@dataclass(frozen=True, slots=True)
class OutputTable:
    """What a merge has published in a directory."""

    path: Path
    prefix: str
    tag: str
    files: tuple[CkptTable, ...]


@dataclass(frozen=True, slots=True)
class SetTable:
    """One save of a run. `rows` are of a slice by shape and bytes; in MindFormers' new format of the whole."""

    ranks: tuple[int, ...]
    """Those that have a shard."""
    size: int
    """Bytes of all shards."""
    rows: tuple[EntryRow, ...]
    missing_ranks: tuple[int, ...]
    missing: dict[str, tuple[Slice, ...]]
    """Slices that no shard holds."""
    absent: tuple[str, ...]
    """What the strategy names, but no shard has."""


Inspection = CkptTable | StrategyTable | OutputTable


def inspect(path: Path, strategy: Strategy | None = None, *, count: bool = False) -> Inspection:
    """Describe `path`, finding out what it is; checkpoints and strategies both end in `.ckpt`, directories are outputs.

    `strategy` is the one of the run that a checkpoint file is a shard of. With `count` the file is read whole, and NaN
    and infinity are counted; of an output its manifest says them. Raises DamagedFileError when it is nothing
    of that, UnsupportedLayoutError, InconsistentError where the strategy does not fit, and OSError.
    """
    if path.is_dir():
        manifest = read_manifest(path / NAME)
        files = [walk(path / file.name) for file in manifest.files]
        families = families_of({name: entry for file in files for name, entry in file.entries.items()})
        tables = tuple(
            _table(file, families, None, published.not_finite)
            for file, published in zip(files, manifest.files, strict=True)
        )
        return OutputTable(path, manifest.prefix, manifest.tag, tables)
    with path.open("rb") as stream:
        first = stream.read(SNIFFED)
    # A strategy file begins with its required `current_stage`; so may a safetensors, by the length of its header.
    if format_of(first) is None and (first[:1] in {b"\x08", b"{"} or path.suffix == ".json"):
        return _strategy(path)
    try:
        file = walk(path)
        return _table(file, families_of(file.entries), strategy, _counted(file) if count else None)
    except DamagedFileError as error:
        raise DamagedFileError(
            f"{error} (taken for a checkpoint file, as it does not begin like a strategy file)"
        ) from error


def inspect_set(opened: CheckpointSet) -> SetTable:
    """Describe the shards of one save. Raises InconsistentError where the strategy does not fit them."""
    first: dict[str, Entry] = {}
    for shard in opened.shards.values():
        for name, entry in shard.entries.items():
            first.setdefault(name, entry)
    found = Coverage((), {}, (), (), ()) if opened.strategy is None else coverage(opened.strategy, opened.shards)
    spreads = {spread.name: spread for spread in found.spreads}
    families = families_of(first)
    return SetTable(
        ranks=tuple(sorted(opened.shards)),
        size=sum(shard.fingerprint.size for shard in opened.shards.values()),
        rows=tuple(_row(entry, families.of[name], spreads.get(name)) for name, entry in first.items()),
        missing_ranks=found.missing_ranks,
        missing=dict(found.missing),
        absent=found.absent,
    )


def inspect_iteration(opened: IterationSet) -> SetTable:
    """Describe a save in MindFormers' new format: its parameters as wholes, buffers too."""
    entries = {name: entry for shard in opened.shards.values() for name, entry in shard.entries.items()}
    wholes = {
        name: replace(entry, dims=opened.metadata.parameters[name].tiling.dims) for name, entry in entries.items()
    }
    families = dict(families_of(wholes).of) | {name: "buffers" for name in wholes if is_buffer(name)}
    return SetTable(
        ranks=tuple(range(opened.metadata.ranks)),
        size=sum(shard.fingerprint.size for shard in opened.shards.values()),
        rows=tuple(
            EntryRow(
                name, entry.dims, entry.type, element_count(entry.dims) * ITEM_SIZES[entry.type], 1, families[name]
            )
            for name, entry in wholes.items()
        ),
        missing_ranks=(),
        missing={},
        absent=(),
    )


def _table(
    file: CkptFile, families: Families, strategy: Strategy | None, not_finite: Mapping[str, NotFinite] | None
) -> CkptTable:
    rows = tuple(
        _row(entry, families.of[name], spread_of(strategy, entry) if strategy is not None else None)
        for name, entry in file.entries.items()
    )
    return CkptTable(file.path, file.format, file.fingerprint.size, rows, not_finite)


def _counted(file: CkptFile) -> dict[str, NotFinite]:
    """Read the file and count NaN and infinity."""
    buffer = memoryview(bytearray(BLOCK))
    found = {}
    with reopened(file, "while it was read") as descriptor:
        for entry in file.entries.values():
            tally = Tally(entry.type)
            for block in blocks(descriptor, entry.extents, file.path, buffer):
                tally.look(block)
            if tally.found:
                found[entry.name] = tally.found
    return found


def _row(entry: Entry, family: str, spread: Spread | None) -> EntryRow:
    return EntryRow(entry.name, entry.dims, entry.type, entry.nbytes, len(entry.extents), family, spread)


def _strategy(path: Path) -> StrategyTable:
    strategy = read_strategy(path)
    stages = {
        name: tuple(number for number, stage in strategy.stages.items() if name in stage.layouts)
        for name in strategy.layouts
    }
    return StrategyTable(
        path,
        tuple(strategy.stages),
        strategy.stage_ranks,
        tuple(
            LayoutRow(name, stages[name], layout.dev_matrix, layout.tensor_map, layout.optimizer_shards)
            for name, layout in strategy.layouts.items()
        ),
    )
