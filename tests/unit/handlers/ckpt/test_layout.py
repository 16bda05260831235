"""Promises of handlers.ckpt.layout: what numpy splits comes together again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.ckpt.layout import Layout, LayoutError, Tiling
from tests.unit.handlers.ckpt.ckpt_writer import Lay


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Lay, tuple[int, ...]]:
    """Draw a layout and the shape of a slice."""
    dev_matrix = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    ndim = draw(st.integers(0, 4))
    axes = draw(st.permutations([*range(len(dev_matrix)), *[-1] * 4]))
    return Lay(dev_matrix, axes[:ndim]), tuple(draw(st.integers(1, 3)) for _ in range(ndim))


@settings(max_examples=300, deadline=None)
@given(drawn=layouts())
def test_bands_put_any_split_together_again(drawn: tuple[Lay, tuple[int, ...]]) -> None:
    """Whatever numpy splits over a grid of ranks, the bands' pieces one after the other are the whole tensor."""
    lay, slice_dims = drawn
    tiling = Tiling(Layout(tuple(lay.dev_matrix), tuple(lay.tensor_map)), slice_dims)
    whole = np.arange(int(np.prod(tiling.dims)), dtype="int32").reshape(tiling.dims)
    slices = [lay.slice_of(rank, whole).tobytes() for rank in range(tiling.layout.ranks)]
    pieces = [
        slices[rank][start : start + band.piece]
        for band in tiling.bands(4)
        for start in range(band.offset, band.offset + band.rows * band.piece, band.piece)
        for rank in band.sources
    ]
    assert b"".join(pieces) == whole.tobytes()


@settings(max_examples=200, deadline=None)
@given(drawn=layouts())
def test_replicas_hold_equal_slices(drawn: tuple[Lay, tuple[int, ...]]) -> None:
    """Ranks that are said to be replicas hold the same slice, and no two others do."""
    lay, slice_dims = drawn
    tiling = Tiling(Layout(tuple(lay.dev_matrix), tuple(lay.tensor_map)), slice_dims)
    whole = np.arange(int(np.prod(tiling.dims)), dtype="int32").reshape(tiling.dims)
    groups: dict[bytes, list[int]] = {}
    for rank in range(tiling.layout.ranks):
        groups.setdefault(lay.slice_of(rank, whole).tobytes(), []).append(rank)
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


def test_a_layout_for_another_number_of_dimensions_is_refused() -> None:
    """A shard's shape must fit the tensor_map."""
    with pytest.raises(LayoutError, match="for 2 dimensions"):
        Tiling(Layout((4,), (0, -1)), (6,))
