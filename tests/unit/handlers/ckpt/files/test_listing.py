"""Promises of handlers.ckpt.files.listing."""

import os
from pathlib import Path

import pytest

from handlers.ckpt.files.listing import freshen, is_listed, listed


def test_what_is_there_is_found_by_listings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each directory is listed once, none that is not there, and no name is asked for."""
    (tmp_path / "here" / "below").mkdir(parents=True)
    (tmp_path / "here" / "below" / "file").touch()
    (tmp_path / "file").touch()
    there = (tmp_path / "file", tmp_path / "here", tmp_path / "here" / "below" / "file")
    absent = (
        tmp_path / "here" / "file",
        tmp_path / "gone" / "x",
        tmp_path / "gone" / "y" / "z",
        tmp_path / "file" / "x",
    )
    asked: list[Path] = []
    listdir = os.listdir

    def ask(path: Path) -> list[str]:
        asked.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "stat", lambda *_, **__: pytest.fail("asked for a name"))
    monkeypatch.setattr(os, "listdir", ask)
    assert listed((*there, *absent), tmp_path) == set(there)
    here = tmp_path / "here"
    assert sorted(asked) == [tmp_path, tmp_path / "file", here, here / "below"]
    assert is_listed(there[2])
    assert not is_listed(tmp_path / "gone" / "x")


def test_nothing_is_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """Somebody may have removed it meanwhile."""
    assert listed([tmp_path / "gone" / "x"], tmp_path / "gone") == set()


def test_what_cannot_be_listed_is_left_to_whoever_opens_it(tmp_path: Path) -> None:
    """That one says what is wrong with it, and need not list."""
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="Too many levels"):
        listed([tmp_path / "link" / "x"], tmp_path)
    freshen([tmp_path / "link" / "x"], tmp_path)
