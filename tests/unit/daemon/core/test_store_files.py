"""The store's files are removed or replaced under a daemon: nothing that it knows is lost, nor written to nowhere."""

import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from itertools import chain, combinations
from pathlib import Path

import pytest

from daemon.core.database import with_remedy
from daemon.core.read_store import ReadStore
from daemon.core.store import NewJob, Store, StoreError
from daemon.core.store_files import StoreReplacedError

FILES = ("glmd.db", "glmd.db-wal", "glmd.db-shm")
SOME = tuple(chain.from_iterable(combinations(FILES, count) for count in (1, 2, 3)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a store."""
    root = tmp_path / "root"
    root.mkdir()
    return root / "glmd.db"


def names(path: Path) -> list[str]:
    """Return what a reader sees."""
    with ReadStore.open(path) as reader:
        return [job.name for job in reader.jobs()]


@pytest.mark.parametrize("gone", SOME, ids="+".join)
def test_what_is_removed_is_written_back(path: Path, tmp_path: Path, gone: Iterable[str]) -> None:
    """With what was written since, for readers now and for the daemon of the next start, killed or stopped."""
    with Store.open(path) as store:
        store.add(NewJob("a", "before"))
        assert store.keep() == ()
        for name in gone:
            (path.parent / name).unlink()
        store.add(NewJob("b", "after"))
        assert {one.name for one in store.keep()} == set(gone)
        store.add(NewJob("c", "later"))
        assert store.keep() == ()
        assert names(path) == ["before", "after", "later"]
        assert path.stat().st_mode & 0o777 == 0o640
        shutil.copytree(path.parent, tmp_path / "killed")
    for left in (path, tmp_path / "killed" / path.name):
        with Store.open(left) as store:
            assert [job.name for job in store.jobs()] == ["before", "after", "later"]
        assert [one.name for one in left.parent.iterdir()] == ["glmd.db"]


def test_where_it_cannot_be_written_back_nothing_has_changed(path: Path) -> None:
    """A full disk, no descriptors: it is tried again, and the store goes on meanwhile."""
    with Store.open(path) as store:
        store.add(NewJob("a", "before"))
        path.unlink()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                store.keep()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        store.add(NewJob("b", "meanwhile"))
        store.keep()
        assert names(path) == ["before", "meanwhile"]


@pytest.mark.parametrize("place", FILES[:2])
def test_another_file_in_its_place_is_not_overwritten(path: Path, tmp_path: Path, place: str) -> None:
    """A backup that was put back, say: what the daemon knew is saved beside it, and people say which counts."""
    other = tmp_path / "other.db"
    with Store.open(other) as backup:
        backup.add(NewJob("x", "from a backup"))
        shutil.copy(other.with_name(other.name + place.removeprefix("glmd.db")), tmp_path / "replacement")
    with Store.open(path) as store:
        store.add(NewJob("a", "known"))
        (tmp_path / "replacement").rename(path.parent / place)
        content = (path.parent / place).read_bytes()
        with pytest.raises(StoreReplacedError, match=rf"{place}: another file is in its place, .* saved as") as error:
            store.keep()
        assert (path.parent / place).read_bytes() == content
        (saved,) = path.parent.glob("glmd.db.was-*")
        assert str(saved) in str(error.value)
        assert names(saved) == ["known"]


def test_an_empty_log_of_another_reader_is_no_store(path: Path) -> None:
    """SQLite's own tools make one where it is missing."""
    Store.open(path).close()
    with Store.open(path) as store:
        store.add(NewJob("a", "known"))
        for name in FILES[1:]:
            (path.parent / name).unlink()
        tool = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT * FROM jobs').fetchall())"
        subprocess.run([sys.executable, "-c", tool, path], check=True, stdout=subprocess.DEVNULL)
        assert path.with_name("glmd.db-shm").exists()
        assert {one.name for one in store.keep()} == set(FILES[1:])
        assert names(path) == ["known"]


def test_what_sqlite_says_has_its_remedy(path: Path) -> None:
    """At the start, and in the headline of a daemon that runs."""
    path.with_name("glmd.db-wal").mkdir()
    with pytest.raises(StoreError, match=r"disk I/O error: check the disk .* -wal and -shm have to be files"):
        Store.open(path)
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert with_remedy(error, path) == "database or disk is full: free space on its disk"
