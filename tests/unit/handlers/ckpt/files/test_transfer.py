"""Promises of handlers.ckpt.files.transfer: every byte once, however files are cut and calls fall short."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.ckpt import InconsistentError
from handlers.ckpt.entry import Extent
from handlers.ckpt.files.transfer import Flusher, scatter, spans, write_all


@given(lengths=st.lists(st.integers(0, 9), max_size=6), start=st.integers(0, 40), length=st.integers(0, 40))
def test_spans_are_the_bytes_asked_for(lengths: list[int], start: int, length: int) -> None:
    """Over a content in chunks with gaps between them, the spans are just the bytes from start on, in order."""
    extents: list[Extent] = []
    places: list[int] = []
    offset = 3
    for size in lengths:
        extents.append(Extent(offset, size))
        places += range(offset, offset + size)
        offset += size + 5
    found = [at for span in spans(extents, start, length) for at in range(span.offset, span.offset + span.length)]
    assert found == places[start : start + length]


@pytest.mark.parametrize("most", (1, 2, 5, 1000))
def test_short_reads_and_writes_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """The kernel may move less than asked for; views and chunks are filled all the same."""
    preadv, pwrite = os.preadv, os.pwrite

    def short_read(descriptor: int, views: Sequence[memoryview], offset: int) -> int:
        return preadv(descriptor, [views[0][:most]], offset)

    def short_write(descriptor: int, view: memoryview, offset: int) -> int:
        return pwrite(descriptor, view[:most], offset)

    monkeypatch.setattr(os, "preadv", short_read)
    monkeypatch.setattr(os, "pwrite", short_write)
    path = tmp_path / "file"
    with path.open("w+b") as stream:
        write_all(stream.fileno(), memoryview(b"..abcd...efghij."), 0)
        buffer = bytearray(12)
        views = [memoryview(buffer)[0:3], memoryview(buffer)[6:9], memoryview(buffer)[9:12]]
        scatter(stream.fileno(), (Extent(2, 4), Extent(9, 6)), 1, views, path)
    assert bytes(buffer) == b"bcd\0\0\0efghij"


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    """Zeros are never taken for content."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("rb") as stream, pytest.raises(InconsistentError, match="became shorter"):
        scatter(stream.fileno(), (Extent(0, 5),), 0, [memoryview(bytearray(5))], path)


def test_the_flusher_is_gone_when_its_block_ends(tmp_path: Path) -> None:
    """Also when the block raises: no thread is left behind, and the block's own error goes through."""
    with (tmp_path / "file").open("wb") as stream:
        flusher = Flusher(stream.fileno())

        def fail() -> None:
            with flusher:
                flusher.wrote(1 << 30)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert not flusher._thread.is_alive()
