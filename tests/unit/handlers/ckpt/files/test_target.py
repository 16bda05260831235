"""Promises of ckpt.files.target: every byte in its place, by whatever way it is written, and every error heard."""

import errno
import fcntl
import itertools
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt.files.target import BLOCK, Target, Window

CONTENT = random.Random(5).randbytes(12 * BLOCK + 77)  # noqa: S311 - content


def fill(path: Path, cuts: Sequence[int], size: int, portion: int) -> int:
    """Write CONTENT to `path`, a window over each part between `cuts`; return the bytes reported."""
    reported: list[int] = []
    bounds = [0, *cuts, len(CONTENT)]
    with path.open("wb") as stream, Target(stream.fileno()) as target:
        windows = [Window(target, size, reported.append) for _ in range(2)]
        for index, (start, end) in reversed(list(enumerate(itertools.pairwise(bounds)))):
            window = windows[index % 2]
            window.move(start)
            for at in range(start, end, portion):
                window.put(memoryview(CONTENT)[at : min(at + portion, end)])
        for window in windows:
            window.flush()
    return sum(reported)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, len(CONTENT)), max_size=8).map(sorted),
    blocks=st.integers(1, 5),
    portion=st.integers(700, 3 * BLOCK),
)
def test_parts_cut_anywhere_make_the_whole(tmp_path: Path, cuts: list[int], blocks: int, portion: int) -> None:
    """Blocks that two parts share are right, though the parts are written apart and backwards."""
    assert fill(tmp_path / "file", cuts, blocks * BLOCK, portion) == len(CONTENT)
    assert (tmp_path / "file").read_bytes() == CONTENT


def is_direct(descriptor: int) -> bool:
    """Tell whether writes through it go past the page cache."""
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


def test_file_systems_that_refuse_direct_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes through the page cache there."""
    monkeypatch.setattr(os, "O_DIRECT", os.O_DIRECTORY)
    assert fill(tmp_path / "file", [5000, 5001, 30000], 2 * BLOCK, 9999) == len(CONTENT)
    assert (tmp_path / "file").read_bytes() == CONTENT


def failing_directly(monkeypatch: pytest.MonkeyPatch, code: int) -> list[int]:
    """Let direct writes fail; return the list that their offsets will be in."""
    pwrite, refused = os.pwrite, list[int]()

    def write(descriptor: int, view: memoryview, offset: int) -> int:
        if is_direct(descriptor):
            refused.append(offset)
            raise OSError(code, os.strerror(code))
        return pwrite(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", write)
    return refused


def test_file_systems_that_refuse_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some take the descriptor and fail the first write, which is then repeated through the page cache."""
    refused = failing_directly(monkeypatch, errno.EINVAL)
    assert fill(tmp_path / "file", [5000, 5001, 30000], 2 * BLOCK, 9999) == len(CONTENT)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(refused) == 1


@pytest.mark.parametrize("code", (errno.ENOSPC, errno.EIO, errno.EDQUOT))
def test_other_errors_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A full or broken disk is not taken for one without direct writes."""
    failing_directly(monkeypatch, code)
    with pytest.raises(OSError, match=os.strerror(code)):
        fill(tmp_path / "file", [], 2 * BLOCK, 9999)


def test_whole_blocks_are_written_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the blocks at both ends of a part, and these not: other threads fill them too."""
    pwrite, directly, through_cache = os.pwrite, list[tuple[int, int]](), list[tuple[int, int]]()

    def write(descriptor: int, view: memoryview, offset: int) -> int:
        (directly if is_direct(descriptor) else through_cache).append((offset, len(view)))
        return pwrite(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", write)
    with (tmp_path / "file").open("wb") as stream, Target(stream.fileno()) as target:
        window = Window(target, 2 * BLOCK, lambda _: None)
        window.move(BLOCK + 10)
        window.put(memoryview(CONTENT)[: 5 * BLOCK])
        window.flush()
    assert directly == [(2 * BLOCK, BLOCK), (3 * BLOCK, 2 * BLOCK), (5 * BLOCK, BLOCK)]
    assert through_cache == [(BLOCK + 10, BLOCK - 10), (6 * BLOCK, 10)]


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """Also when the block raises."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ZeroDivisionError), (tmp_path / "file").open("wb") as stream, Target(stream.fileno()):
        raise ZeroDivisionError
    assert len(list(Path("/proc/self/fd").iterdir())) == before
