"""Promises of handlers.ckpt.copying.sources: the bytes of the whole tensor, whatever portions they are asked for in."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.ckpt import InconsistentError
from handlers.ckpt.copying.sources import Content, Sources, pieces
from handlers.ckpt.entry import CkptFile, Entry, Extent, Fingerprint
from handlers.ckpt.layout import Band, Layout, Tiling
from handlers.ckpt.planning.plan import Parameter
from tests.unit.handlers.ckpt.ckpt_writer import Lay, layout_cases


@contextlib.contextmanager
def shards_of(slices: Mapping[int, bytes]) -> Iterator[Sources]:
    """Yield shards that each hold a slice of parameter w, in two chunks with something between."""
    with contextlib.ExitStack() as stack:
        files, descriptors = {}, {}
        for rank, content in slices.items():
            half = len(content) // 2
            descriptors[rank] = os.memfd_create(f"rank_{rank}")
            stack.callback(os.close, descriptors[rank])
            os.write(descriptors[rank], b"head" + content[:half] + b"between" + content[half:])
            extents = Extent(4, half), Extent(half + 11, len(content) - half)
            entries = {"w": Entry("w", (len(content),), "UInt8", extents)}
            files[rank] = CkptFile(Path(f"rank_{rank}.ckpt"), Fingerprint(0, 0, 0), entries)
        yield Sources(files, descriptors)


def read(content: Content, size: int, portions: Sequence[int]) -> bytes:
    """Read all of a content, in portions of these sizes, again and again."""
    whole, at, turn = memoryview(bytearray(size)), 0, 0
    while at < size:
        view = whole[at : at + portions[turn % len(portions)]]
        content.fill(view)
        at, turn = at + len(view), turn + 1
    return bytes(whole)


@given(data=st.data())
def test_pieces_are_where_they_belong(data: st.DataObject) -> None:
    """Of any part of a band, each source's pieces are found, cut ones too, and they are consecutive in the source."""
    columns, rows, piece = (data.draw(st.integers(1, 5)) for _ in range(3))
    band = Band(tuple(range(columns)), 0, rows, piece)
    owners = [(column, row * piece + byte) for row in range(rows) for column in range(columns) for byte in range(piece)]
    done = data.draw(st.integers(0, band.nbytes - 1))
    length = data.draw(st.integers(1, band.nbytes - done))
    view = memoryview(bytearray(length))
    for column in range(columns):
        start, views = pieces(band, column, done, view)
        numbers = range(start, start + sum(map(len, views)))
        assert [(column, number) for number in numbers] == [
            owner for owner in owners[done : done + length] if owner[0] == column
        ]
        for each in views:
            each[:] = bytes([column + 1]) * len(each)
    assert list(view) == [column + 1 for column, _ in owners[done : done + length]]


def parameter_of(lay: Lay, slice_dims: tuple[int, ...]) -> Parameter:
    """Return parameter w, laid out like this."""
    tensor_map = tuple(entry if isinstance(entry, int) else tuple(entry) for entry in lay.tensor_map)
    layout = Layout(tuple(lay.dev_matrix), tensor_map, lay.shard_size, lay.shard_step)
    tiling = Tiling(layout, slice_dims)
    return Parameter("w", tiling.dims, "Int32", 4, tiling, laid=True)


@settings(max_examples=200, deadline=None)
@given(
    case=layout_cases(),
    portions=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    replica=st.integers(0, 3),
    views=st.integers(1, 9),
)
def test_any_layout_in_any_portions(
    case: tuple[Lay, tuple[int, ...]], portions: list[int], replica: int, views: int
) -> None:
    """Every layout gives the whole tensor's bytes, first to last, from every replica, however few pieces at once."""
    lay, slice_dims = case
    parameter = parameter_of(lay, slice_dims)
    whole = np.arange(int(np.prod(parameter.dims)), dtype="int32").reshape(parameter.dims)
    slices = {rank: lay.slice_of(rank, whole).tobytes() for rank in range(parameter.tiling.layout.ranks)}
    with pytest.MonkeyPatch.context() as patch, shards_of(slices) as sources:
        patch.setattr("handlers.ckpt.copying.sources.MAX_VIEWS", views)
        assert read(Content(parameter, sources, replica), whole.nbytes, portions) == whole.tobytes()


def test_a_replica_is_read_from_its_own_holders() -> None:
    """Of dp 2, mp 2 the second replica is ranks 2 and 3; where there is no third, the first is read."""
    parameter = parameter_of(Lay((2, 2), (0,)), (1,))
    with shards_of({0: b"aaaa", 1: b"bbbb", 2: b"cccc", 3: b"dddd"}) as sources:
        found = [read(Content(parameter, sources, replica), 8, (3,)) for replica in range(3)]
    assert found == [b"aaaabbbb", b"ccccdddd", b"aaaabbbb"]


def test_a_shard_that_became_shorter_is_named() -> None:
    """What it lacks is never taken for zeros."""
    parameter = parameter_of(Lay((2,), (0,)), (4,))
    with shards_of({0: bytes(16), 1: bytes(16)}) as sources:
        os.truncate(sources.descriptors[1], 20)
        with pytest.raises(InconsistentError, match=r"rank_1\.ckpt became shorter"):
            read(Content(parameter, sources), 32, (32,))


def test_portions_are_a_slice_of_one_rank() -> None:
    """Consecutive, the last one shorter."""
    with shards_of({5: b"0123456789"}) as sources:
        assert list(map(bytes, sources.portions("w", 5, 4))) == [b"0123", b"4567", b"89"]
