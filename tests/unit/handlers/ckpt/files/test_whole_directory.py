"""Promises of directories that are published whole."""

import fcntl
import os
from pathlib import Path

import pytest

from handlers.ckpt.files import durable
from handlers.ckpt.files.whole_directory import LOCK, publishing_directory, sweep


def names(directory: Path) -> list[str]:
    """Return what lies in a directory."""
    return sorted(path.name for path in directory.iterdir())


def test_it_has_its_name_when_all_is_there(tmp_path: Path) -> None:
    """Not before; and nothing of the writing is left in it."""
    with publishing_directory(tmp_path / "one") as directory:
        (directory / "inner").mkdir()
        (directory / "inner" / "file").write_bytes(b"content")
        assert not (tmp_path / "one").exists()
    assert names(tmp_path) == ["one"]
    assert names(tmp_path / "one") == ["inner"]


def test_all_files_are_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, directories, and then the name."""
    order: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        order.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(path: Path, to: Path) -> Path:
        order.append("the name")
        return rename(path, to)

    monkeypatch.setattr(durable.os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    with publishing_directory(tmp_path / "one") as directory:
        (directory / "inner").mkdir()
        (directory / "inner" / "file").write_bytes(b"content")
    before, behind = order[: order.index("the name")], order[order.index("the name") + 1 :]
    assert {"file", "inner"} <= set(before)
    assert behind[0] == tmp_path.name


def test_when_the_block_fails_nothing_is_there(tmp_path: Path) -> None:
    """Neither under the name nor beside it."""
    with pytest.raises(FileNotFoundError), publishing_directory(tmp_path / "one") as directory:
        (directory / "nowhere" / "file").touch()
    assert names(tmp_path) == []


def test_what_is_there_already_is_not_replaced(tmp_path: Path) -> None:
    """Unless it is an empty directory."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine").touch()
    with pytest.raises(OSError, match="not empty"), publishing_directory(tmp_path / "one") as directory:
        (directory / "file").touch()
    assert names(tmp_path / "one") == ["mine"]
    (tmp_path / "one" / "mine").unlink()
    with publishing_directory(tmp_path / "one") as directory:
        (directory / "file").touch()
    assert names(tmp_path / "one") == ["file"]


def test_what_a_killed_writer_left_is_swept_and_what_somebody_writes_is_not(tmp_path: Path) -> None:
    """Whoever holds the lock in it lives; one that is just being begun has none yet."""
    left, begun, old = (tmp_path / f".one-{name}.tmp" for name in ("left", "begun", "old"))
    for directory in (left, begun, old):
        directory.mkdir()
    (left / LOCK).touch()
    (left / "file").touch()
    os.utime(old, (0, 0))
    (tmp_path / ".another.tmp").mkdir()
    (tmp_path / ".one-link.tmp").symlink_to(tmp_path / ".another.tmp")
    with publishing_directory(tmp_path / "one-now") as now:
        assert list(sweep(tmp_path, "one-*")) == [left, old]
        assert now.is_dir()
        with (now / LOCK).open("rb+") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert names(tmp_path) == [".another.tmp", ".one-begun.tmp", ".one-link.tmp", "one-now"]
