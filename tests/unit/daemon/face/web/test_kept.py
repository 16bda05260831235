"""Promises of daemon.face.web.kept: nothing is read twice while nothing was written, and nothing old is told."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from daemon.face.web.kept import Kept

LONG_AGO = 1_700_000_000 * 10**9


class Reader:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        """Return how often it was asked."""
        self.count += 1
        return self.count


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a file that was written long ago."""
    path = tmp_path / "glmd.db"
    path.write_bytes(b"as it was")
    settle(path)
    return path


def settle(path: Path, at: int = LONG_AGO) -> None:
    """Let a file have been written then."""
    os.utime(path, ns=(at, at))


def test_what_nobody_has_written_is_read_once(store: Path) -> None:
    """However many look; what is something else is read apart."""
    kept, reader = Kept(), Reader()
    assert [kept.of("night", store, reader) for _ in range(3)] == [1, 1, 1]
    assert kept.of("nights", store, reader) == 2


@pytest.mark.parametrize("name", ("glmd.db", "glmd.db-wal"))
def test_a_write_is_seen(store: Path, name: str) -> None:
    """In the file or in its log, though neither grows."""
    wal = store.with_name("glmd.db-wal")
    wal.write_bytes(b"log")
    settle(wal)
    kept, reader = Kept(), Reader()
    kept.of("night", store, reader)
    settle(store.with_name(name), LONG_AGO + 1)
    assert kept.of("night", store, reader) == 2


def test_another_file_of_the_same_time_is_another(store: Path) -> None:
    """A store that was restored has the time that it had."""
    kept, reader = Kept(), Reader()
    kept.of("night", store, reader)
    other = store.with_name("other")
    other.write_bytes(b"as it is!")
    settle(other)
    other.rename(store)
    assert kept.of("night", store, reader) == 2


def test_what_was_written_just_now_is_read_again(store: Path) -> None:
    """Two writes may have the same time, as file systems count it: the second one would not be seen."""
    kept, reader = Kept(), Reader()
    settle(store, time.time_ns())
    assert [kept.of("night", store, reader) for _ in range(2)] == [1, 2]


def test_what_is_old_is_read_again(store: Path) -> None:
    """A night that goes on grows, also when nothing is written."""
    kept, reader = Kept(lasts=0), Reader()
    assert [kept.of("night", store, reader) for _ in range(2)] == [1, 2]


def test_few_are_kept(store: Path) -> None:
    """Whoever asks for a thousand nights fills no memory: the oldest is forgotten."""
    kept, reader = Kept(most=2), Reader()
    assert [kept.of(each, store, reader) for each in ("a", "b", "c", "c", "b", "a")] == [1, 2, 3, 3, 2, 4]


def test_a_failure_is_not_kept(store: Path) -> None:
    """The next one who looks tries anew."""
    kept = Kept()

    def fail() -> int:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        kept.of("night", store, fail)
    assert kept.of("night", store, Reader()) == 1


def test_a_commit_of_sqlite_is_a_write(tmp_path: Path) -> None:
    """Also one that lies in the log for now, written over what was there."""
    store, kept, reader = tmp_path / "glmd.db", Kept(), Reader()
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE jobs (id INTEGER)")
        for path in tmp_path.iterdir():
            settle(path)
        assert [kept.of("night", store, reader) for _ in range(2)] == [1, 1]
        connection.execute("INSERT INTO jobs VALUES (1)")
        assert kept.of("night", store, reader) == 2
