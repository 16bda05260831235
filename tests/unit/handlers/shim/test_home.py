"""A job's directory is found wherever it is moved."""

import shutil
from pathlib import Path

import pytest

from handlers.records.job_dir import JobDir
from handlers.shim.home import Home


@pytest.fixture
def directory(tmp_path: Path) -> JobDir:
    """Return a job's directory with a plan."""
    path = tmp_path / "0001-run"
    path.mkdir()
    (path / "plan.json").write_text("{}")
    return JobDir(path)


def test_it_is_where_it_was_moved(directory: JobDir, tmp_path: Path) -> None:
    """What is written then is found there; a directory that ranks have made anew is not taken for it."""
    with Home(directory) as home:
        assert home.directory == directory
        moved = directory.path.rename(tmp_path / "away")
        directory.path.mkdir()
        assert home.is_away
        (home.directory.path / "exit.json").write_text("x")
        assert (moved / "exit.json").exists()
        directory.path.rmdir()
        moved.rename(directory.path)
        assert home.directory == directory


def test_what_was_restored_under_its_name_counts(directory: JobDir, tmp_path: Path) -> None:
    """The daemon looks there."""
    with Home(directory) as home:
        shutil.copytree(directory.path, tmp_path / "copy")
        directory.path.rename(tmp_path / "away")
        (tmp_path / "copy").rename(directory.path)
        assert home.directory == directory


def test_what_was_removed_is_nowhere(directory: JobDir) -> None:
    """Nobody waits for it."""
    with Home(directory) as home:
        shutil.rmtree(directory.path)
        assert home.directory == directory
        assert not home.is_away
