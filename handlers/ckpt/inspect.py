"""A checkpoint or strategy file in rows, for people to look at."""

from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.entry import Family
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.record import walk
from handlers.ckpt.strategy import read_strategy


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One parameter of a checkpoint file. `chunks` counts its records: a tensor over 512 MiB has several."""

    name: str
    dims: tuple[int, ...]
    type: str
    bytes: int
    chunks: int
    family: Family


@dataclass(frozen=True, slots=True)
class LayoutRow:
    """One parameter of a strategy file."""

    name: str
    dev_matrix: tuple[int, ...]
    tensor_map: tuple[int, ...]
    optimizer_shards: int
    """opt_weight_shard_size: 0 none, -1 over all replicas."""


@dataclass(frozen=True, slots=True)
class CkptTable:
    """A checkpoint file."""

    path: Path
    size: int
    rows: tuple[EntryRow, ...]


@dataclass(frozen=True, slots=True)
class StrategyTable:
    """A strategy file."""

    path: Path
    stages: tuple[int, ...]
    """Pipeline stages."""
    rows: tuple[LayoutRow, ...]


Inspection = CkptTable | StrategyTable


def inspect(path: Path) -> Inspection:
    """Describe `path`, finding out what it is: both kinds end in `.ckpt`.

    Raises DamagedFileError when it is neither, UnsupportedLayoutError, and OSError.
    """
    with path.open("rb") as stream:
        first = stream.read(1)
    # A strategy file begins with its required `current_stage`, a checkpoint with a record.
    if first == b"\x08" or path.suffix == ".json":
        return _strategy(path)
    try:
        file = walk(path)
    except DamagedFileError as error:
        raise DamagedFileError(
            f"{error} (taken for a checkpoint file, as it does not begin like a strategy file)"
        ) from error
    rows = [EntryRow(e.name, e.dims, e.type, e.nbytes, len(e.extents), e.family) for e in file.entries.values()]
    return CkptTable(path, file.fingerprint.size, tuple(rows))


def _strategy(path: Path) -> StrategyTable:
    strategy = read_strategy(path)
    return StrategyTable(
        path,
        tuple(sorted(strategy.stages)),
        tuple(
            LayoutRow(name, layout.dev_matrix, layout.tensor_map, layout.optimizer_shards)
            for name, layout in strategy.layouts.items()
        ),
    )
