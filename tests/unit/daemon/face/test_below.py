"""Promises of daemon.face.below: a file of a job is that, or none."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.face.below import is_below, opened_below, piece, read_below


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a directory with a file in it, and one beside it."""
    path = tmp_path / "top"
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "b" / "file").write_bytes(b"0123456789")
    (tmp_path / "elsewhere").write_bytes(b"elsewhere")
    return path


def _listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


INSTEAD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _path: None,
    "directory": lambda path: path.mkdir(),
    "fifo": os.mkfifo,
    "socket": _listening,
    "link": lambda path: path.symlink_to("file"),
    "link elsewhere": lambda path: path.symlink_to("../../../elsewhere"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


def test_a_file_is_read(top: Path) -> None:
    """As much of it as is asked for."""
    path = top / "a" / "b" / "file"
    with opened_below(top, path) as stream:
        assert (piece(stream, 2, 3), piece(stream, 8, 9), piece(stream, 99, 1)) == (b"234", b"89", b"")
    assert read_below(top, path, 4) == b"0123"
    assert is_below(top, path)


@pytest.mark.parametrize("instead", INSTEAD)
def test_what_is_no_file_is_not_there(top: Path, instead: str) -> None:
    """And nobody waits for a writer of it."""
    path = top / "a" / "b" / "it"
    INSTEAD[instead](path)
    with pytest.raises(FileNotFoundError, match="no regular file is there"):
        opened_below(top, path)
    assert not is_below(top, path)


@pytest.mark.parametrize("step", ("", "a", "a/b"))
def test_no_step_of_the_way_is_a_link(top: Path, step: str) -> None:
    """Not the first, either."""
    path = top / step
    path.rename(top.parent / "aside")
    path.symlink_to(top.parent / "aside")
    with pytest.raises(FileNotFoundError):
        opened_below(top, top / "a" / "b" / "file")


@pytest.mark.parametrize("name", ("../elsewhere", "a/../../elsewhere", "a/b/fi\0le", "a/b/file/x", "x" * 300))
def test_a_name_leads_nowhere_else(top: Path, name: str) -> None:
    """Whatever it is."""
    with pytest.raises(FileNotFoundError):
        opened_below(top, Path(f"{top}/{name}"))


def test_nothing_stays_open(top: Path) -> None:
    """Of what is refused."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name, make in INSTEAD.items():
        make(top / "a" / name)
        assert not is_below(top, top / "a" / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
