"""How a parameter is cut over the ranks, and how its slices come together again.

MindSpore's rule: the ranks form a grid, `dev_matrix`, the last dimension running fastest. `tensor_map` has one entry a
tensor dimension: -1 is not cut, k is cut over the k-th dimension of the grid *counted from the right*. Ranks that
differ only in dimensions of the grid that cut nothing hold replicas.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
    tensor_map: tuple[int, ...]
    optimizer_shards: int = 0
    """opt_weight_shard_size: 0 none, -1 over all replicas, n over groups of n."""
    uneven: bool = False
    """param_split_shape, indices_offset or field is used: the slices differ in size."""

    @classmethod
    def replicated(cls, ranks: int, ndim: int) -> "Layout":
        """Every rank holds the whole of a tensor with `ndim` dimensions."""
        return cls((ranks,), (-1,) * ndim)

    @property
    def ranks(self) -> int:
        """How many ranks the layout speaks of."""
        return math.prod(self.dev_matrix)

    def check(self) -> None:
        """Raise LayoutError unless tensor_map names dimensions of dev_matrix, each at most once."""
        used = [axis for axis in self.tensor_map if axis != -1]
        if max(len(self.dev_matrix), len(self.tensor_map)) > MAX_NDIM:
            raise LayoutError(f"it has over {MAX_NDIM} dimensions")
        if not self.dev_matrix or not all(1 <= size <= MAX_RANKS for size in self.dev_matrix):
            raise LayoutError(f"dev_matrix {list(self.dev_matrix)} is no grid of ranks")
        if any(not 0 <= axis < len(self.dev_matrix) for axis in used) or len(set(used)) != len(used):
            raise LayoutError(f"tensor_map {list(self.tensor_map)} does not fit dev_matrix {list(self.dev_matrix)}")

    def cuts(self) -> tuple[int, ...]:
        """Into how many slices each tensor dimension is cut."""
        return tuple(1 if axis == -1 else self.dev_matrix[-1 - axis] for axis in self.tensor_map)

    def tile(self, rank: int) -> Tile:
        """Which slice `rank` holds."""
        coordinates = []
        for size in reversed(self.dev_matrix):
            rank, coordinate = divmod(rank, size)
            coordinates.append(coordinate)
        return tuple(0 if axis == -1 else coordinates[axis] for axis in self.tensor_map)


@dataclass(frozen=True, slots=True)
class Band:
    """Consecutive rows of the whole tensor. Each row is one piece of each source, in order.

    The pieces of one source are consecutive in its slice, from `offset` on.
    """

    sources: tuple[int, ...]
    """Ranks."""
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
    dims: tuple[int, ...] = field(init=False)
    holders: Mapping[Tile, tuple[int, ...]] = field(init=False)
    """The ranks that hold each slice, ascending; more than one are replicas."""

    def __post_init__(self) -> None:
        self.layout.check()
        if len(self.layout.tensor_map) != len(self.slice_dims):
            raise LayoutError(
                f"tensor_map {list(self.layout.tensor_map)} is for {len(self.layout.tensor_map)} dimensions, "
                f"the shard has shape {list(self.slice_dims)}"
            )
        holders: dict[Tile, list[int]] = {}
        for rank in range(self.layout.ranks):
            holders.setdefault(self.layout.tile(rank), []).append(rank)
        dims = tuple(size * cuts for size, cuts in zip(self.slice_dims, self.layout.cuts(), strict=True))
        object.__setattr__(self, "dims", dims)
        object.__setattr__(self, "holders", {tile: tuple(ranks) for tile, ranks in holders.items()})

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
        before = self.slice_dims[:outer]
        for indices in itertools.product(*(range(size) for size in self.dims[:outer])):
            tile, start = [], 0
            for index, size in zip(indices, before, strict=True):
                part, local = divmod(index, size)
                tile.append(part)
                start = start * size + local
            for part in range(self.layout.cuts()[outer]):
                yield (*tile, part), start
