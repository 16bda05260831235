"""Which ranks hold which slice of each parameter, and what the shards at hand lack."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import CkptFile, Entry, shape
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.formats.strategy import Strategy
from handlers.ckpt.layout import LayoutError, Tiling

SHOWN = 8
"""Slices that are described one by one."""

Bounds = tuple[int, int]
"""The first index, and the one behind the last."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a parameter."""

    ranks: tuple[int, ...]
    """Who holds it, ascending; more than one are replicas."""
    bounds: tuple[Bounds, ...]
    """Along each dimension of the whole parameter."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A parameter spread over ranks."""

    name: str
    dims: tuple[int, ...]
    """Of the whole parameter."""
    slices: tuple[Slice, ...]

    def __str__(self) -> str:
        """Return it in a line, as `ranks 0-3: 16 rows each` or `ranks 0-3: rows 0-15; ranks 4-7: rows 16-31`."""
        first = self.slices[0]
        if len(self.slices) == 1:
            return f"{ranks_text(first.ranks)}: whole"
        cut = [axis for axis, (begin, end) in enumerate(first.bounds) if end - begin < self.dims[axis]]
        holders = [part.ranks for part in self.slices]
        if len(cut) == 1 and holders == [(first.ranks[0] + index,) for index in range(len(holders))]:
            begin, end = first.bounds[cut[0]]
            return f"{ranks_text([ranks[0] for ranks in holders])}: {end - begin} {self._axis(cut[0])} each"
        shown = [f"{ranks_text(part.ranks)}: {self._where(part, cut)}" for part in self.slices[:SHOWN]]
        more = [f"… {len(self.slices)} slices in all"] if len(self.slices) > SHOWN else []
        return "; ".join(shown + more)

    def _where(self, part: Slice, cut: Sequence[int]) -> str:
        if len(self.dims) > 2:  # as numpy writes it
            bounds = (f"{begin}:{end}" if axis in cut else ":" for axis, (begin, end) in enumerate(part.bounds))
            return f"[{', '.join(bounds)}]"
        return ", ".join(f"{self._axis(axis)} {part.bounds[axis][0]}-{part.bounds[axis][1] - 1}" for axis in cut)

    def _axis(self, axis: int) -> str:
        match len(self.dims):
            case 1:
                return "elements"
            case 2:
                return ("rows", "columns")[axis]
        return f"of dimension {axis}"


@dataclass(frozen=True)
class Coverage:
    """What the shards of some ranks hold of a whole checkpoint."""

    spreads: tuple[Spread, ...]
    """The parameters that the strategy names and a shard has."""
    missing: Mapping[str, tuple[Slice, ...]]
    """Of them, the slices that no shard at hand holds."""
    missing_ranks: tuple[int, ...]
    """Ranks without a shard."""
    absent: tuple[str, ...]
    """What the strategy names, but no shard has: the optimizer state, perhaps, which need not be saved."""
    unlaid: tuple[str, ...]
    """What shards have, but no strategy names: every rank should hold the same."""


def coverage(strategy: Strategy, shards: Mapping[int, CkptFile]) -> Coverage:
    """Say what `shards`, by rank, hold. Raises InconsistentError where one has a shape that its layout cannot have."""
    holders: dict[str, dict[int, Entry]] = {}
    for rank, shard in sorted(shards.items()):
        for name, entry in shard.entries.items():
            holders.setdefault(name, {})[rank] = entry
    spreads, missing = [], {}
    for name, entries in holders.items():
        spread = spread_of(strategy, next(iter(entries.values())))
        if spread is None:
            continue
        if any(shard.lacks_replicas for shard in shards.values()):
            spread = _as_found(spread, entries)
        spreads.append(spread)
        lacking = tuple(part for part in spread.slices if entries.keys().isdisjoint(part.ranks))
        if lacking:
            missing[name] = lacking
    return Coverage(
        spreads=tuple(spreads),
        missing=missing,
        missing_ranks=tuple(sorted(set(range((max(strategy.stages) + 1) * strategy.stage_ranks)) - set(shards))),
        absent=tuple(name for name in strategy.layouts if name not in holders),
        unlaid=tuple(name for name in holders if name not in strategy.layouts),
    )


def _as_found(spread: Spread, holders: Collection[int]) -> Spread:
    """Return `spread` with those ranks alone that have a slice in their files; with all that may, where none has."""
    found = ((tuple(rank for rank in part.ranks if rank in holders) or part.ranks, part) for part in spread.slices)
    return replace(spread, slices=tuple(replace(part, ranks=ranks) for ranks, part in found))


def spread_of(strategy: Strategy, entry: Entry) -> Spread | None:
    """Say how the parameter that `entry` is a rank's slice of is spread; None where the strategy does not name it.

    Raises InconsistentError where the slice has a shape that the layout cannot have.
    """
    layout = strategy.layouts.get(entry.name)
    if layout is None:
        return None
    first_ranks = tuple(
        number * strategy.stage_ranks for number, stage in strategy.stages.items() if entry.name in stage.layouts
    )
    try:
        tiling = Tiling(layout, shape(entry.dims), first_ranks)
    except LayoutError as error:
        raise InconsistentError(
            f"{strategy.path}: {entry.name}: {error}: is the strategy of another run?", Code.STRATEGY_UNFIT
        ) from error
    slices = [
        Slice(ranks, tuple((at * size, (at + 1) * size) for at, size in zip(tile, tiling.slice_dims, strict=True)))
        for tile, ranks in sorted(tiling.holders.items())
    ]
    return Spread(entry.name, tiling.dims, tuple(slices))


def ranks_text(ranks: Iterable[int]) -> str:
    """Return ascending ranks in words, as `rank 3`, `ranks 0-7` or `ranks 0,4`."""
    runs: list[tuple[int, int]] = []
    for rank in ranks:
        if runs and runs[-1][1] == rank - 1:
            runs[-1] = (runs[-1][0], rank)
        else:
            runs.append((rank, rank))
    numbers = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"rank {numbers}" if numbers.isdigit() else f"ranks {numbers}"
