"""A store of any earlier version opens and works, is copied before, and is read as it is by a newer glmd's readers."""

import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from daemon.core import migrations
from daemon.core.database import NewerStoreError
from daemon.core.job_rows import COLUMNS
from daemon.core.migrations import VERSION, steps
from daemon.core.read_store import ReadStore
from daemon.core.states import Source, State
from daemon.core.store import DeviceTakenError, NewJob, Store, StoreError
from daemon.core.users import User
from daemon.face.audit.ledger import read_ledger
from handlers.run_names import cycle_of, is_run

OF_0_1 = 3
"""The version of a store of glmd 0.1."""
DUMP = Path(__file__).with_name("store_0_1.sql")
"""What glmd 0.1 wrote: jobs in every state, of drops, nights and trees, held devices, users and a night."""
SINCE_0_1 = {State.EVALUATING, State.SUBMITTED}
TABLES = ("jobs", "transitions", "device_locks", "nightly", "users")
EARLIER = range(1, VERSION)
SOURCES = dict.fromkeys(range(1, 12), Source.DROP) | dict.fromkeys((3, 10), Source.NIGHT)
SOURCES |= dict.fromkeys((4, 5, 9), Source.TREE)
"""Of the jobs in the dump."""
CYCLES = dict.fromkeys(range(1, 12), "") | dict.fromkeys((3, 10), "glm-6b")
"""The same, of which nightly cycle they are runs."""


def build(path: Path, version: int) -> None:
    """Make a store of an earlier version with what the dump holds, as far as that version knew it."""
    with closing(sqlite3.connect(":memory:")) as dumped, closing(sqlite3.connect(path)) as store:
        dumped.executescript(DUMP.read_text())
        for step in range(1, version + 1):
            store.executescript(steps()[step])
            if step == min(version, OF_0_1):
                for table in set(tables(store)):
                    fill(store, dumped, table)
        store.execute(f"PRAGMA user_version={version}")
        store.commit()
        assert store.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)


def fill(store: sqlite3.Connection, dumped: sqlite3.Connection, table: str) -> None:
    """Bring the rows over, in the columns that there are."""
    columns = ", ".join(columns_of(store, table))
    marks = ", ".join("?" * len(columns_of(store, table)))
    rows = dumped.execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()  # noqa: S608 - all ours
    assert rows
    store.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - all ours


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return which of the tables are there."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [name for name in TABLES if name in there]


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns of a table."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


@contextmanager
def looking_at(path: Path) -> Iterator[sqlite3.Connection]:
    """Read a store as it is, without making a file of SQLite's own beside it."""
    how = "readonly_shm=1" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"file:{path}?mode=ro&{how}", uri=True)) as store:
        yield store


def content(path: Path, like: Path | None = None) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of a store, in the columns that `like` has."""
    with looking_at(path) as store, looking_at(like or path) as one:
        found = {}
        for table in tables(one):
            columns = ", ".join(columns_of(one, table))
            found[table] = store.execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()  # noqa: S608 - all ours
        return found


def names(directory: Path) -> list[str]:
    """Return what lies in a directory."""
    return sorted(each.name for each in directory.iterdir())


def schema(path: Path) -> tuple[int, list[str]]:
    """Return a store's version, and its tables as they were created."""
    with looking_at(path) as store:
        (version,) = store.execute("PRAGMA user_version").fetchone()
        told = store.execute("SELECT sql FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return version, [sql for (sql,) in told]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path that a test works on, in a directory of its own."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root" / "glmd.db"


@pytest.fixture
def backup(path: Path) -> Path:
    """Return where the store of before is kept."""
    return path.with_name("glmd.db.1")


# The steps


def test_the_steps_are_numbered_without_gaps() -> None:
    """Each in a file of its own, from 1 to the version that this glmd knows."""
    names = sorted(file.name for file in files(migrations).iterdir() if file.name.endswith(".sql"))
    assert [name for name in names if not name[:4].isdigit()] == ["indexes.sql"]
    assert [int(name[:4]) for name in names[:-1]] == list(range(1, VERSION + 1))
    assert list(steps()) == list(range(1, VERSION + 1))


def test_what_a_released_glmd_has_done_never_changes(path: Path, tmp_path: Path) -> None:
    """The first steps make what 0.1 made, to the letter."""
    build(path, OF_0_1)
    with closing(sqlite3.connect(tmp_path / "dumped.db")) as dumped:
        dumped.executescript(DUMP.read_text())
    assert schema(path) == schema(tmp_path / "dumped.db")


# A store of an earlier version


@pytest.mark.parametrize("version", EARLIER)
def test_an_earlier_store_opens_with_all_that_is_in_it(path: Path, tmp_path: Path, version: int) -> None:
    """No row, history, lock, night or user is lost; of each job it is known what it was made of, and of which cycle."""
    build(path, version)
    build(tmp_path / "before.db", version)
    for _ in range(2):
        with Store.open(path) as store:
            assert {job.id: job.source for job in store.jobs()} == SOURCES
            assert {job.id: job.cycle for job in store.jobs()} == CYCLES
            assert {job.continues for job in store.jobs()} == {None}
            assert {job.state for job in store.jobs()} == set(State) - SINCE_0_1
            assert {job.code for job in store.jobs()} == {""}
            assert store.unreadable == {}
            assert [step.state for step in store.history(2)] == ["queued", "preparing", "training", "failed"]
            assert store.cron_of("glm-6b") == ("0 2 * * *" if version >= 2 else "")
            assert store.owner_of(store.job(1)) == (User(1000) if version >= 3 else None)
        assert content(path, like=tmp_path / "before.db") == content(tmp_path / "before.db")
    assert schema(path)[0] == VERSION


@pytest.mark.parametrize("version", EARLIER)
def test_an_earlier_store_works(path: Path, version: int) -> None:
    """New jobs come, old ones go on, and their devices are held as before."""
    build(path, version)
    with Store.open(path) as store:
        claimed = "tree:/data/fullft_output:glm-6b:62_4:0123456789abcdef"
        assert store.add(NewJob(claimed, "fullft_output", source=Source.TREE)).id == 5, "a restart finds it again"
        night = store.add(NewJob("c", "glm-6b-20261125T180000Z", devices=(8,), source=Source.NIGHT), code="x.new")
        assert (night.source, night.cycle, night.code) == (Source.NIGHT, "glm-6b", "x.new")
        assert night.id > 11
        with pytest.raises(DeviceTakenError):
            store.move(store.job(11), State.PREPARING)
        ended = store.move(store.job(10), State.CANCELLED, "cancelled by alice", "job.cancelled")
        assert store.history(10)[-1].code == ended.code == "job.cancelled"
        store.move(store.job(11), State.PREPARING)
        assert store.locks() == {4: 8, 5: 8, 6: 11, 7: 11}
        store.ask_to_cancel(store.job(11), "bob")
        assert store.cancelled_by(store.job(11)) == "bob"


NAMES = (
    *("glm-6b-20261124T180000Z", "a_b-20261124T180000Z", "-20261124T180000Z", "a.b-20261124T180000Z"),
    *("glm-20261124T180000", "glm-20261124T18000xZ", "glm20261124T180000Z", "glm-20261124T180000Z-2"),
    *("größe-20261124T180000Z", "a-20261124t180000z", "--20261124T180000Z"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_night_of_an_earlier_store_is_known_as_one_of_now(path: Path, name: str) -> None:
    """By the name of its run, and by nothing that only looks like one."""
    build(path, OF_0_1)
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("UPDATE jobs SET name = ? WHERE id = 1", (name,))
    with Store.open(path) as store:
        assert (store.job(1).source is Source.NIGHT) == is_run(name)
        assert store.job(1).cycle == (cycle_of(name) if is_run(name) else "")


# Its copy


@pytest.mark.parametrize("version", EARLIER)
def test_an_earlier_store_is_kept_as_it_was(path: Path, backup: Path, tmp_path: Path, version: int) -> None:
    """Beside the new one, for whoever goes back: with its version, whole, for the group to read, and made once."""
    build(path, version)
    build(tmp_path / "before.db", version)
    Store.open(path).close()
    assert schema(backup) == schema(tmp_path / "before.db")
    assert content(backup) == content(tmp_path / "before.db")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o640
    made = backup.stat()
    Store.open(path).close()
    assert backup.stat() == made
    assert names(path.parent) == ["glmd.db", "glmd.db.1"]


def test_what_only_the_log_of_a_killed_daemon_has_is_in_the_copy(path: Path, backup: Path) -> None:
    """What was committed counts, wherever SQLite keeps it."""
    build(path, OF_0_1)
    write = "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
    write += "c.execute('PRAGMA wal_autocheckpoint=0'); c.execute(\"UPDATE jobs SET reason = 'late'\"); os._exit(0)"
    subprocess.run([sys.executable, "-c", write, path], check=True)
    assert path.with_name("glmd.db-wal").stat().st_size
    Store.open(path).close()
    with ReadStore.open(backup) as kept:
        assert {job.reason for job in kept.jobs()} == {"late"}


@pytest.mark.parametrize("what", ("nothing", "an empty file", "a store of now"))
def test_what_is_not_changed_needs_no_copy(path: Path, backup: Path, what: str) -> None:
    """A new store, and one that this glmd has made."""
    if what == "an empty file":
        path.touch()
    if what == "a store of now":
        Store.open(path).close()
    with Store.open(path) as store:
        store.add(NewJob("c", "run"))
    assert not backup.exists()


def test_an_older_copy_is_replaced_by_a_whole_new_one(path: Path, backup: Path, tmp_path: Path) -> None:
    """Also where the name leads elsewhere: nothing is written through a link."""
    (tmp_path / "elsewhere").write_bytes(b"another's")
    backup.symlink_to(tmp_path / "elsewhere")
    build(path, OF_0_1)
    Store.open(path).close()
    assert not backup.is_symlink()
    assert schema(backup)[0] == OF_0_1
    assert (tmp_path / "elsewhere").read_bytes() == b"another's"


@contextmanager
def no_room(path: Path) -> Iterator[None]:
    """Let no file get larger than SQLite's index of its log, which the store is."""
    index = 32768
    assert path.stat().st_size > index
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (index, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_without_room_for_the_copy_nothing_changes(path: Path, backup: Path) -> None:
    """The start is refused, with what to do; the copy of before stays, and with room all goes on."""
    build(path, OF_0_1)
    backup.write_bytes(b"of before")
    before = content(path)
    with (
        no_room(path),
        pytest.raises(StoreError, match=r"glmd\.db\.1: .* has changed nothing\. Make sure that 1 MB are free"),
    ):
        Store.open(path)
    assert (schema(path)[0], content(path)) == (OF_0_1, before)
    assert backup.read_bytes() == b"of before"
    assert names(path.parent) == ["glmd.db", "glmd.db.1"]
    Store.open(path).close()
    assert (schema(path)[0], schema(backup)[0]) == (VERSION, OF_0_1)


def test_a_directory_in_the_place_of_the_copy_is_said(path: Path, backup: Path) -> None:
    """It is not taken away."""
    build(path, OF_0_1)
    backup.mkdir()
    with pytest.raises(StoreError, match=r"glmd\.db\.1: Is a directory; .* no directory has that name"):
        Store.open(path)
    assert schema(path)[0] == OF_0_1
    assert names(path.parent) == ["glmd.db", "glmd.db.1"]


KILLED = """
import os, sys
from pathlib import Path
from daemon.core import database
from daemon.core.store import Store

of_now = database.statements

def some(after):
    for number, statement in enumerate(of_now(after)):
        if number == {statements}:
            os._exit(9)
        yield statement
    os._exit(9)

database.statements = some
Store.open(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("statements", range(6))
@pytest.mark.parametrize("version", EARLIER)
def test_a_start_that_is_killed_is_made_up_for(path: Path, backup: Path, version: int, statements: int) -> None:
    """Behind the copy, and behind each statement that changes the store: the next start finds it as it was."""
    build(path, version)
    killed = KILLED.format(statements=statements)
    assert subprocess.run([sys.executable, "-c", killed, path], check=False).returncode == 9
    assert schema(backup)[0] == version
    before = content(backup)
    assert (schema(path)[0], content(path)) == (version, before)
    with Store.open(path) as store:
        assert {job.id: job.source for job in store.jobs()} == SOURCES
    assert (schema(backup)[0], content(backup)) == (version, before)


# Readers of a newer glmd, while the daemon is still the one of before


@pytest.mark.parametrize("version", EARLIER)
@pytest.mark.parametrize("is_up", (True, False))
def test_an_earlier_store_is_read_as_it_will_be(path: Path, version: int, is_up: bool) -> None:  # noqa: FBT001 - a case
    """All of it, as after the change, with the older daemon at work or not; and nothing of it is touched."""
    build(path, version)
    with closing(sqlite3.connect(path, isolation_level=None)) as daemon:
        daemon.execute("PRAGMA wal_autocheckpoint=0")
        daemon.execute("UPDATE jobs SET reason = 'just now' WHERE id = 11")
        if not is_up:
            daemon.close()
        before = {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()}
        with ReadStore.open(path) as reader:
            seen = reader.jobs(), [reader.history(job.id) for job in reader.jobs()], reader.locks()
            users = [(reader.owner_of(job), reader.cancelled_by(job)) for job in reader.jobs()]
            nights = reader.last_due("glm-6b"), reader.cron_of("glm-6b")
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader._connection.execute("DELETE FROM jobs")
        with read_ledger(path) as ledger:
            rows = list(ledger.rows(1, 20))
        assert {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()} == before
    with Store.open(path) as store:
        assert seen == (store.jobs(), [store.history(job.id) for job in store.jobs()], store.locks())
        assert users == [(store.owner_of(job), store.cancelled_by(job)) for job in store.jobs()]
        assert nights == (store.last_due("glm-6b"), store.cron_of("glm-6b"))
        assert store.job(11).reason == "just now"
    with read_ledger(path) as ledger:
        assert rows == list(ledger.rows(1, 20))


def test_a_store_that_is_to_be_begun_is_told(path: Path) -> None:
    """An empty file, as of a daemon that was killed at its very first start, is neither damaged nor read as one."""
    path.touch()
    with pytest.raises(StoreError, match="nothing of glmd's in it yet: start glmd"):
        ReadStore.open(path)


# A store of a newer glmd


@pytest.mark.parametrize("opens", (Store.open, ReadStore.open, read_ledger))
def test_a_newer_store_is_refused_with_both_versions(path: Path, opens: type[Store]) -> None:
    """By the daemon and by whoever reads: what it says is not known here. It is left as it is."""
    Store.open(path).close()
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA user_version=99")
    before = content(path)
    with pytest.raises(NewerStoreError, match=rf"version 99, and this glmd knows versions up to {VERSION}; install"):
        opens(path)
    assert (schema(path)[0], content(path)) == (99, before)
    assert names(path.parent) == ["glmd.db"]


def test_readers_ask_for_columns_that_each_version_gets(path: Path) -> None:
    """What `job_of` takes a job's row to be is what the last step leads to."""
    Store.open(path).close()
    with closing(sqlite3.connect(path)) as store:
        assert set(COLUMNS.split(", ")) <= set(columns_of(store, "jobs"))
