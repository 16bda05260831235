"""Promises of daemon.face.web.looking: what has not moved is not looked at again, and whatever has moved is seen."""

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.daemon_record import DaemonRecord
from daemon.core.root import Root
from daemon.core.store import NewJob, Store
from daemon.face.web import looking
from daemon.face.web.looking import Look
from daemon.face.web.rows import Live
from handlers.records.process import ProcessIdentity

LONG_AGO = 1_700_000_000 * 10**9


class Looked:
    """Counts how often it is looked at."""

    def __init__(self, *files: Path) -> None:
        self.files = files
        self.looks = 0
        self.error: OSError | None = None

    def __call__(self) -> Live:
        """Return it."""
        self.looks += 1
        if self.error is not None:
            raise self.error
        return Live({}, {}, str(self.looks), self.files)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root with a store that was written long ago, and no daemon."""
    root = Root(tmp_path / "glm")
    root.create()
    Store.open(root.store).close()
    settle(root.store)
    return root


@pytest.fixture
def log(root: Root) -> Path:
    """Return a log that was written long ago."""
    path = log_of(root)
    path.write_text("a line\n")
    settle(path)
    return path


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that lives until it is killed."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def log_of(root: Root) -> Path:
    """Return where the log is."""
    return root.path / "mindformer.log"


def settle(*paths: Path, at: int = LONG_AGO) -> None:
    """Let files have been written then."""
    for path in paths:
        os.utime(path, ns=(at, at))


def quiet(look: Look) -> None:
    """Look until nothing moves."""
    while look.news() is not None:
        pass


def test_what_has_not_moved_is_not_looked_at_again(root: Root, log: Path) -> None:
    """The second look is for files that only the first one names: nobody knows how they stood before it."""
    looked = Looked(log)
    look = Look(looked, root)
    assert [look.news() is None for _ in range(4)] == [False, False, True, True]
    assert looked.looks == 2


def _is_written(root: Root) -> None:
    log_of(root).write_text("a line\nand one more\n")


def _is_replaced_by_one_as_long_and_as_old(root: Root) -> None:
    other = log_of(root).with_name("other")
    other.write_text(log_of(root).read_text())
    settle(other)
    other.replace(log_of(root))


def _is_gone(root: Root) -> None:
    log_of(root).unlink()


def _a_job_is_added(root: Root) -> None:
    with Store.open(root.store) as store:
        store.add(NewJob("claim", "run"))


def _the_store_is_replaced(root: Root) -> None:
    root.store.rename(root.store.with_name("before"))
    Store.open(root.store).close()
    settle(root.store)


def _the_store_is_gone(root: Root) -> None:
    root.store.unlink()


def _a_log_of_the_store_is_there(root: Root) -> None:
    wal = root.store.with_name("glmd.db-wal")
    wal.write_bytes(b"something")
    settle(wal)


def _a_daemon_says_that_it_is_there(root: Root) -> None:
    word(root, ProcessIdentity.of(os.getpid()))


@pytest.mark.parametrize(
    "happens",
    (
        _is_written, _is_replaced_by_one_as_long_and_as_old, _is_gone, _a_job_is_added, _the_store_is_replaced,
        _the_store_is_gone, _a_log_of_the_store_is_there, _a_daemon_says_that_it_is_there,
    ),
)  # fmt: skip
def test_what_moves_is_seen(root: Root, log: Path, happens: Callable[[Root], None]) -> None:
    """In the files that it names, in the store whichever way that is written, and in what the daemon says."""
    looked = Looked(log)
    look = Look(looked, root)
    quiet(look)
    happens(root)
    assert look.news() is not None


def test_a_daemon_that_is_killed_is_missed(root: Root, stranger: subprocess.Popen[bytes]) -> None:
    """It writes nothing when it goes."""
    word(root, ProcessIdentity.of(stranger.pid))
    look = Look(Looked(), root)
    quiet(look)
    assert look.news() is None
    stranger.kill()
    stranger.wait()
    assert look.news() is not None


def test_files_that_are_just_written_are_looked_at_until_they_are_settled(root: Root, log: Path) -> None:
    """A second write in the same tick of the clock would leave no trace."""
    look = Look(Looked(log), root)
    quiet(look)
    log.write_text("a line of now\n")
    assert [look.news() is None for _ in range(3)] == [False, False, False]
    settle(log)
    quiet(look)


def test_other_files_are_looked_at_twice(root: Root, log: Path, tmp_path: Path) -> None:
    """What was written of them before they were named would be missed."""
    other = tmp_path / "other.log"
    other.write_text("another\n")
    settle(other)
    looked = Looked(log)
    look = Look(looked, root)
    quiet(look)
    looked.files = (log, other)
    settle(log, at=LONG_AGO + 1)
    assert [look.news() is None for _ in range(3)] == [False, False, True]


def test_what_time_alone_changes_is_shown_now_and_then(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nothing is written."""
    look = Look(Looked(), root)
    quiet(look)
    assert look.news() is None
    monkeypatch.setattr(looking, "LASTS", 0.0)
    assert look.news() is not None


def test_what_cannot_be_read_is_tried_again(root: Root, log: Path) -> None:
    """Though nothing moves: what stood against it may lie elsewhere."""
    looked = Looked(log)
    look = Look(looked, root)
    quiet(look)
    looked.error = OSError("the disk")
    settle(log, at=LONG_AGO + 1)
    for _ in range(2):
        with pytest.raises(OSError, match="the disk"):
            look.news()
    looked.error = None
    assert look.news() is not None


def word(root: Root, process: ProcessIdentity) -> None:
    """Let a daemon have said that it runs as a process."""
    now = datetime.now(UTC)
    root.daemon.write_bytes(DaemonRecord("0.2.0", process, now, now, ()).content())
