"""How a parameter is cut over the ranks, and how its slices come together again.

MindSpore's rule: the ranks of a pipeline stage form a grid, `dev_matrix`, the last dimension running fastest.
`tensor_map` has one entry a tensor dimension: -1 is not cut, k is cut over the k-th dimension of the grid *counted from
the right*, several numbers are cut over several of them, the first one outermost. Ranks that differ only in dimensions
of the grid that cut nothing hold replicas. A sharded optimizer divides replicas further: in rank order and in groups of
`opt_weight_shard_size`, each holds one part of dimension 0 of the slice that they have in common.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

MAX_NDIM = 32
MAX_RANKS = 1 << 20
"""Bounds on what a hostile strategy file may ask for; no run comes near."""

Tile = tuple[int, ...]
"""Which slice along each dimension of a tensor."""


class LayoutError(ValueError):
    """A layout contradicts itself or the shard it is for."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A parameter's line in a strategy file."""

    dev_matrix: tuple[int, ...]
    tensor_map: tuple[int | tuple[int, ...], ...]
    optimizer_shards: int = 0
    """opt_weight_shard_size: 0 none, -1 over all replicas, n over groups of n."""
    optimizer_step: int = 0
    """opt_weight_shard_step: the distance between the first and the last replica over their number less one."""
    uneven: str = ""
    """Which of param_split_shape, indices_offset and field is used, for then the slices differ in size."""
    shape: tuple[int, ...] | None = field(default=None, compare=False)
    """The whole tensor's, which only the JSON form tells."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensor_map", tuple(map(_plain, self.tensor_map)))

    @classmethod
    def replicated(cls, ranks: int, ndim: int) -> "Layout":
        """Every rank holds the whole of a tensor with `ndim` dimensions."""
        return cls((ranks,), (-1,) * ndim)

    @property
    def ranks(self) -> int:
        """How many ranks the layout describes: those of one stage."""
        return math.prod(self.dev_matrix)

    @property
    def axes(self) -> tuple[tuple[int, ...], ...]:
        """The dimensions of the grid, from the left, that cut each tensor dimension, the outermost first."""
        last = len(self.dev_matrix) - 1
        entries = (entry if isinstance(entry, tuple) else (entry,) for entry in self.tensor_map)
        return tuple(tuple(last - axis for axis in entry if axis != -1) for entry in entries)

    @property
    def shards(self) -> int:
        """Into how many parts the optimizer cuts each slice."""
        if self.optimizer_shards == -1:
            return math.prod(self.dev_matrix[axis] for axis in self._free_axes())
        return max(1, self.optimizer_shards)

    def cuts(self) -> tuple[int, ...]:
        """Into how many slices each tensor dimension is cut."""
        cuts = [math.prod(self.dev_matrix[axis] for axis in axes) for axes in self.axes]
        if cuts:
            cuts[0] *= self.shards
        return tuple(cuts)

    def tile(self, rank: int) -> Tile:
        """Which slice the stage's `rank` holds."""
        coordinates: list[int] = []
        for size in reversed(self.dev_matrix):
            rank, coordinate = divmod(rank, size)
            coordinates.insert(0, coordinate)
        tile = [self._number(coordinates, axes) for axes in self.axes]
        if self.shards > 1:
            tile[0] = tile[0] * self.shards + self._number(coordinates, self._free_axes()) % self.shards
        return tuple(tile)

    def check(self) -> None:
        """Raise LayoutError unless it is possible: each dimension of the grid cuts at most one of the tensor."""
        if max(len(self.dev_matrix), len(self.tensor_map)) > MAX_NDIM:
            raise LayoutError(f"it has over {MAX_NDIM} dimensions")
        if not self.dev_matrix or min(self.dev_matrix) < 1 or self.ranks > MAX_RANKS:
            raise LayoutError(f"dev_matrix {list(self.dev_matrix)} is no grid of ranks")
        used = [axis for axes in self.axes for axis in axes]
        if any(not 0 <= axis < len(self.dev_matrix) for axis in used) or len(set(used)) != len(used):
            raise LayoutError(f"tensor_map {show(self.tensor_map)} does not fit dev_matrix {list(self.dev_matrix)}")
        if self.optimizer_shards:
            self._check_optimizer()

    def _check_optimizer(self) -> None:
        free = self._free_axes()
        replicas = math.prod(self.dev_matrix[axis] for axis in free)
        setting = f"opt_weight_shard_size {self.optimizer_shards}"
        if not self.tensor_map or self.optimizer_shards < -1 or replicas % self.shards:
            raise LayoutError(
                f"{setting} does not divide the {replicas} replicas of a slice (dev_matrix {list(self.dev_matrix)}, "
                f"tensor_map {show(self.tensor_map)})"
            )
        if replicas > 1:
            last = sum((self.dev_matrix[axis] - 1) * math.prod(self.dev_matrix[axis + 1 :]) for axis in free)
            if self.optimizer_step != last // (replicas - 1):
                raise LayoutError(
                    f"opt_weight_shard_step {self.optimizer_step} does not fit {setting}: by dev_matrix "
                    f"{list(self.dev_matrix)} and tensor_map {show(self.tensor_map)} it is {last // (replicas - 1)}"
                )

    def _free_axes(self) -> tuple[int, ...]:
        """Return the dimensions of the grid that cut nothing."""
        used = {axis for axes in self.axes for axis in axes}
        return tuple(axis for axis in range(len(self.dev_matrix)) if axis not in used)

    def _number(self, coordinates: Sequence[int], axes: Sequence[int]) -> int:
        """Count the place with these coordinates along `axes`, the last one running fastest."""
        number = 0
        for axis in axes:
            number = number * self.dev_matrix[axis] + coordinates[axis]
        return number


def _plain(entry: int | tuple[int, ...]) -> int | tuple[int, ...]:
    """Return the one way of writing an entry of a tensor_map."""
    if isinstance(entry, int):
        return entry
    axes = tuple(axis for axis in entry if axis != -1)
    return axes if len(axes) > 1 else next(iter(axes), -1)


def show(tensor_map: Sequence[int | Sequence[int]]) -> str:
    """Write a tensor_map as MindSpore's files have it."""
    return str([entry if isinstance(entry, int) else list(entry) for entry in tensor_map])


@dataclass(frozen=True, slots=True)
class Band:
    """Consecutive rows of the whole tensor. Each row is one piece of each source, in order.

    The pieces of one source are consecutive in its slice, from `offset` on.
    """

    sources: tuple[int, ...]
    """Ranks of the run."""
    offset: int
    rows: int
    piece: int
    """Bytes."""

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor that this band is."""
        return len(self.sources) * self.rows * self.piece


@dataclass(frozen=True)
class Tiling:
    """A tensor of shape `dims`, cut into equal slices of shape `slice_dims`."""

    layout: Layout
    slice_dims: tuple[int, ...]
    first_ranks: tuple[int, ...] = (0,)
    """The first rank of each pipeline stage that has it: several where stages share it."""
    found: Mapping[Tile, tuple[int, ...]] | None = field(default=None, repr=False)
    """Who was found to hold each slice, where that is not each rank that may; None for the layout's word."""
    dims: tuple[int, ...] = field(init=False)
    holders: Mapping[Tile, tuple[int, ...]] = field(init=False)
    """The ranks of the run that hold each slice, ascending; more than one are replicas."""

    def __post_init__(self) -> None:
        self.layout.check()
        if len(self.layout.tensor_map) != len(self.slice_dims):
            raise LayoutError(
                f"tensor_map {show(self.layout.tensor_map)} is for {len(self.layout.tensor_map)} dimensions, "
                f"the shard has shape {list(self.slice_dims)}"
            )
        dims = tuple(size * cuts for size, cuts in zip(self.slice_dims, self.layout.cuts(), strict=True))
        if self.layout.shape not in {None, dims}:
            raise LayoutError(
                f"its slices of shape {list(self.slice_dims)} make {list(dims)}, but tensor_shape is "
                f"{list(self.layout.shape or ())}"
            )
        object.__setattr__(self, "dims", dims)
        by_layout = _holders(self.layout, self.first_ranks) if self.found is None else self.found
        object.__setattr__(self, "holders", by_layout)

    @property
    def replicas(self) -> Sequence[tuple[int, ...]]:
        """The groups of ranks that must hold the same bytes."""
        return [ranks for ranks in self.holders.values() if len(ranks) > 1]

    def bands(self, item_size: int) -> Iterator[Band]:
        """Yield the whole tensor's bands, first byte to last; a row-cut or uncut tensor is a single row.

        A band ends where the source of the next row's pieces changes: at every slice of the outer cut dimensions.
        """
        cuts = self.layout.cuts()
        cut = [axis for axis, count in enumerate(cuts) if count > 1]
        if not cut:
            rank = self.holders[(0,) * len(cuts)][0]
            yield Band((rank,), 0, 1, math.prod(self.slice_dims) * item_size)
            return
        inner = cut[-1]
        outer = cut[-2] if len(cut) > 1 else None
        piece = math.prod(self.slice_dims[inner:]) * item_size
        rows = math.prod(self.slice_dims[0 if outer is None else outer : inner])
        for tile, start in self._outer_steps(outer):
            sources = tuple(
                self.holders[(*tile, *(0,) * (inner - len(tile)), column, *(0,) * (len(cuts) - inner - 1))][0]
                for column in range(cuts[inner])
            )
            yield Band(sources, start * rows * piece, rows, piece)

    def _outer_steps(self, outer: int | None) -> Iterator[tuple[Tile, int]]:
        """Walk the whole tensor's dimensions before `outer` index by index, and `outer` slice by slice.

        Yields the tile's first coordinates, and how many bands of that tile came before.
        """
        if outer is None:
            yield (), 0
            return
        before, parts = self.slice_dims[:outer], self.layout.cuts()[outer]
        for indices in itertools.product(*(range(size) for size in self.dims[:outer])):
            tile, start = [], 0
            for index, size in zip(indices, before, strict=True):
                part, local = divmod(index, size)
                tile.append(part)
                start = start * size + local
            for part in range(parts):
                yield (*tile, part), start


@lru_cache(maxsize=256)
def _holders(layout: Layout, first_ranks: tuple[int, ...]) -> Mapping[Tile, tuple[int, ...]]:
    """Return who holds which slice. Remembered, since a run's thousand parameters have a handful of layouts."""
    holders: dict[Tile, list[int]] = {}
    for rank in range(layout.ranks):
        holders.setdefault(layout.tile(rank), []).append(rank)
    return {tile: tuple(first + rank for first in first_ranks for rank in ranks) for tile, ranks in holders.items()}
