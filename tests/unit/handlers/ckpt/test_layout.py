"""Promises of handlers.ckpt.layout: what numpy splits comes together again."""

import numpy as np
import pytest
from hypothesis import given, settings

from handlers.ckpt.layout import Layout, LayoutError, Tiling
from tests.unit.handlers.ckpt.ckpt_writer import Lay, layout_cases


def tiling_of(lay: Lay, slice_dims: tuple[int, ...], first_ranks: tuple[int, ...] = (0,)) -> Tiling:
    """Tile as a strategy file with this line would."""
    tensor_map = tuple(entry if isinstance(entry, int) else tuple(entry) for entry in lay.tensor_map)
    return Tiling(Layout(tuple(lay.dev_matrix), tensor_map, lay.shard_size, lay.shard_step), slice_dims, first_ranks)


def whole_of(tiling: Tiling) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Return a tensor in which no two elements are equal."""
    return np.arange(int(np.prod(tiling.dims)), dtype="int32").reshape(tiling.dims)


@settings(max_examples=500, deadline=None)
@given(case=layout_cases())
def test_bands_put_any_split_together_again(case: tuple[Lay, tuple[int, ...]]) -> None:
    """Whatever numpy splits over a grid of ranks, the bands' pieces one after the other are the whole tensor."""
    lay, slice_dims = case
    tiling = tiling_of(lay, slice_dims)
    whole = whole_of(tiling)
    slices = [lay.slice_of(rank, whole) for rank in range(tiling.layout.ranks)]
    assert {each.shape for each in slices} == {slice_dims}
    pieces = [
        slices[rank].tobytes()[start : start + band.piece]
        for band in tiling.bands(4)
        for start in range(band.offset, band.offset + band.rows * band.piece, band.piece)
        for rank in band.sources
    ]
    assert b"".join(pieces) == whole.tobytes()


@settings(max_examples=300, deadline=None)
@given(case=layout_cases())
def test_replicas_hold_equal_slices(case: tuple[Lay, tuple[int, ...]]) -> None:
    """Ranks that are said to be replicas hold the same slice, and no two others do."""
    lay, slice_dims = case
    tiling = tiling_of(lay, slice_dims)
    groups: dict[bytes, list[int]] = {}
    for rank in range(tiling.layout.ranks):
        groups.setdefault(lay.slice_of(rank, whole_of(tiling)).tobytes(), []).append(rank)
    assert sorted(map(tuple, groups.values())) == sorted(tiling.holders.values())


def test_a_row_cut_is_one_band_of_whole_slices() -> None:
    """Rows cut over ranks are plain concatenation."""
    (band,) = Tiling(Layout((4,), (0, -1)), (2, 6)).bands(2)
    assert (band.sources, band.rows, band.piece) == ((0, 1, 2, 3), 1, 24)


def test_a_column_cut_is_one_band_of_rows() -> None:
    """Columns cut over ranks interleave within each row."""
    (band,) = Tiling(Layout((4,), (-1, 0)), (6, 2)).bands(2)
    assert (band.sources, band.rows, band.piece) == ((0, 1, 2, 3), 6, 4)


def test_data_parallel_ranks_are_replicas() -> None:
    """Over [2, 4] with the rows cut by the last dimension, ranks r and r + 4 hold the same."""
    assert Tiling(Layout((2, 4), (0, -1)), (2, 6)).replicas == [(0, 4), (1, 5), (2, 6), (3, 7)]


def test_optimizer_shards_lie_within_the_slice() -> None:
    """GLM's lm_head of 1024 rows under dp 2, mp 4: rank 0 holds rows 0 to 127, rank 4 rows 128 to 255, and so on."""
    tiling = Tiling(Layout((2, 4), (0, -1), optimizer_shards=-1, optimizer_step=4), (128, 64))
    (band,) = tiling.bands(2)
    assert tiling.dims == (1024, 64)
    assert (band.sources, band.rows) == ((0, 4, 1, 5, 2, 6, 3, 7), 1)
    assert tiling.replicas == []


def test_optimizer_shards_of_groups_are_replicated_by_the_other_groups() -> None:
    """Eight replicas in groups of two: ranks 0, 2, 4, 6 hold the first half."""
    tiling = Tiling(Layout((8,), (-1,), optimizer_shards=2, optimizer_step=1), (3,))
    assert tiling.dims == (6,)
    assert tiling.replicas == [(0, 2, 4, 6), (1, 3, 5, 7)]


def test_optimizer_shards_of_columns_cut_rows() -> None:
    """A column-cut weight is cut by the optimizer along its rows, in each column of ranks."""
    tiling = Tiling(Layout((2, 2), (-1, 0), optimizer_shards=-1, optimizer_step=2), (3, 4))
    assert tiling.dims == (6, 8)
    assert [(band.sources, band.rows, band.piece) for band in tiling.bands(1)] == [((0, 1), 3, 4), ((2, 3), 3, 4)]


def test_one_dimension_over_several_axes_counts_the_first_one_outermost() -> None:
    """[1, 0] over [2, 4]: rank 4 holds the fifth of eight slices; [0, 1]: the second."""
    assert Tiling(Layout((2, 4), ((1, 0),)), (1,)).holders[4,] == (4,)
    assert Tiling(Layout((2, 4), ((0, 1),)), (1,)).holders[1,] == (4,)


def test_ways_of_writing_a_tensor_map_are_one() -> None:
    """MindSpore writes lists of one number, and -1 among numbers, where a number alone would do."""
    assert Layout((2, 4), ((1,), (-1,), (0, -1), ())) == Layout((2, 4), (1, -1, 0, -1))


def test_ranks_are_those_of_the_run() -> None:
    """The second of two stages of four ranks has ranks 4 to 7; what both have is replicated."""
    layout = Layout((4,), (0,))
    (band,) = Tiling(layout, (2,), (4,)).bands(1)
    assert band.sources == (4, 5, 6, 7)
    shared = Tiling(layout, (2,), (0, 4))
    assert [band.sources for band in shared.bands(1)] == [(0, 1, 2, 3)]
    assert shared.replicas == [(0, 4), (1, 5), (2, 6), (3, 7)]


@pytest.mark.parametrize(
    ("layout", "slice_dims", "reason"),
    (
        (Layout((4,), (0, -1)), (6,), r"tensor_map \[0, -1\] is for 2 dimensions, the shard has shape \[6\]"),
        (Layout((2, 4), ((1, 0),)), (6, 6), r"tensor_map \[\[1, 0\]\] is for 1 dimensions"),
        (Layout((4,), (1,)), (6,), r"tensor_map \[1\] does not fit dev_matrix \[4\]"),
        (Layout((4,), (-2,)), (6,), "does not fit"),
        (Layout((2, 2), (0, 0)), (6, 6), "does not fit"),
        (Layout((2, 2), ((0, 1), 1)), (6, 6), r"tensor_map \[\[0, 1\], 1\] does not fit"),
        (Layout((0,), (0,)), (6,), "is no grid"),
        (Layout((1 << 11, 1 << 11), (0,)), (6,), "is no grid"),
        (Layout((1,) * 33, (0,)), (6,), "over 32 dimensions"),
        (Layout((4,), (0,), 2, 1), (6,), "opt_weight_shard_size 2 does not divide the 1 replicas"),
        (Layout((4,), (-1,), 3, 1), (6,), "opt_weight_shard_size 3 does not divide the 4 replicas"),
        (Layout((4,), (-1,), -2, 1), (6,), "opt_weight_shard_size -2 does not divide"),
        (Layout((4,), (), -1, 1), (), "does not divide"),
        (Layout((2, 4), (0,), -1, 2), (6,), "opt_weight_shard_step 2 does not fit .* it is 4"),
        (Layout((2, 4), (0,), -1, 0), (6,), "opt_weight_shard_step 0 does not fit"),
        (Layout((4,), (0,), shape=(12,)), (6,), r"make \[24\], but tensor_shape is \[12\]"),
    ),
)
def test_layouts_that_contradict_themselves_or_the_shard_are_refused(
    layout: Layout, slice_dims: tuple[int, ...], reason: str
) -> None:
    """Nothing is guessed: the reason names the numbers that do not fit."""
    with pytest.raises(LayoutError, match=reason):
        Tiling(layout, slice_dims)


def test_a_million_ranks_cost_nothing_before_there_are_shards() -> None:
    """A hostile file's layouts are checked without walking the ranks that they speak of."""
    for _ in range(1000):
        Layout((1 << 10, 1 << 10), (0, -1), -1, 1 << 10).check()
