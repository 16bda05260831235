"""The store keeps what it answered, and lets a job go only where the table says."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from daemon.core import reading
from daemon.core.read_store import ReadStore
from daemon.core.reading import copy_as_it_is
from daemon.core.states import Source, State
from daemon.core.store import DamagedStoreError, DeviceTakenError, NewJob, Store, StoreError, TransitionError
from daemon.serve.jobs.startable import startable
from handlers.run_names import run_name


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path that a test works on."""
    return tmp_path / "glmd.db"


def test_a_job_is_found_again_after_reopening(path: Path) -> None:
    """What `add` and `move` answered is there for the next daemon."""
    with Store.open(path) as store:
        job = store.add(NewJob("c1", "run", devices=(0, 1), priority=3, prefix="glm-6b", digest="d"))
        store.move(job, State.PREPARING)
    with Store.open(path) as store:
        again = store.job(job.id)
        assert (again.state, again.devices, again.priority) == (State.PREPARING, (0, 1), 3)
        assert store.locks() == {0: job.id, 1: job.id}


def test_one_claim_makes_one_job(path: Path) -> None:
    """Adding the same claim again, as after a crash, returns the job that is there and records nothing."""
    with Store.open(path) as store:
        first = store.add(NewJob("c1", "run"))
        assert store.add(NewJob("c1", "other"), State.REJECTED, "late") == first
        assert len(store.history(first.id)) == 1
        assert store.add(NewJob("c2", "next")).id == first.id + 1, "asking again uses up no number"


def test_the_queue_is_by_priority_then_arrival(path: Path) -> None:
    """The next job is the one with the highest priority, and of those the oldest."""
    with Store.open(path) as store:
        for number, priority in enumerate((0, 5, 5, -1)):
            store.add(NewJob(f"c{number}", f"run{number}", priority=priority))
        assert [job.name for job in store.queue()] == ["run1", "run2", "run0", "run3"]


def test_the_job_before_is_of_the_same_name_or_cycle(path: Path) -> None:
    """Whatever came in between; each run of a cycle has a name of its own."""
    due = datetime(2026, 11, 28, 2, tzinfo=UTC)
    with Store.open(path) as store:
        first, _, again = (store.add(NewJob(f"c{place}", name)) for place, name in enumerate(("a", "b", "a")))
        nights = [
            store.add(NewJob(f"n{days}", run_name("glm", due + timedelta(days=days)), source=Source.NIGHT))
            for days in range(2)
        ]
        assert store.same_before(again) == first
        assert store.same_before(first) is None
        assert store.same_before(nights[1]) == nights[0]
        assert store.same_before(nights[0]) is None


def test_what_is_undone_is_so_until_something_later_comes_of_it(path: Path) -> None:
    """A later drop of the name, a later run of the cycle, a retry; and what failed long ago is history."""
    due = datetime(2026, 11, 28, 2, tzinfo=UTC)
    with Store.open(path) as store:
        names = [("a", Source.DROP), ("b", Source.DROP), (run_name("glm", due), Source.NIGHT)]
        jobs = [store.add(NewJob(name, name, source=source), State.REJECTED, "no") for name, source in names]
        assert store.undone_since(due) == tuple(jobs)
        assert store.undone_since(datetime.now(UTC) + timedelta(seconds=1)) == ()
        store.add(NewJob("again", "a"))
        night = store.add(NewJob("next", run_name("glm", due + timedelta(days=1)), source=Source.NIGHT))
        assert store.undone_since(due) == (jobs[1],)
        failed = store.move(night, State.FAILED, reason="no")
        assert store.undone_since(due) == (jobs[1], failed)
        store.move(failed, State.QUEUED)
        assert store.undone_since(due) == (jobs[1],)


def test_of_a_long_queue_only_what_may_start_is_read(path: Path) -> None:
    """The first for each set of devices, by priority and arrival, and all that need none."""
    with Store.open(path) as store:
        for number, (priority, devices) in enumerate(
            ((0, (0, 1)), (0, ()), (5, (0, 1)), (0, (2,)), (0, ()), (9, (2,)))
        ):
            store.add(NewJob(f"c{number}", f"run{number}", priority=priority, devices=devices))
        assert [job.name for job in store.next_in_queue()] == ["run5", "run2", "run1", "run4"]
        assert list(startable(store.next_in_queue(), {0: 9})) == list(startable(store.queue(), {0: 9}))
        assert store.queue_length() == 6
        store.move(store.next_in_queue()[0], State.PREPARING)
        assert [job.name for job in store.next_in_queue()] == ["run2", "run1", "run3", "run4"]


def test_two_jobs_never_hold_one_device(path: Path) -> None:
    """A job that needs a taken device stays where it was, with none of its devices locked."""
    with Store.open(path) as store:
        one, two = (store.add(NewJob(f"c{n}", "run", devices=(n, 1))) for n in (0, 2))
        store.move(one, State.PREPARING)
        with pytest.raises(DeviceTakenError):
            store.move(two, State.PREPARING)
        assert store.job(two.id).state is State.QUEUED
        assert store.locks() == {0: one.id, 1: one.id}


def test_devices_are_free_when_training_ends(path: Path) -> None:
    """Merging needs no device."""
    with Store.open(path) as store:
        job = store.add(NewJob("c", "run", devices=(0,)))
        job = store.move(store.move(job, State.PREPARING), State.TRAINING)
        assert store.locks()
        store.move(job, State.MERGING)
        assert store.locks() == {}


def test_only_the_tables_ways_are_open(path: Path) -> None:
    """A move that the table does not have, or from a state the job has left, changes nothing."""
    with Store.open(path) as store:
        job = store.add(NewJob("c", "run"))
        with pytest.raises(TransitionError, match="cannot go from queued to done"):
            store.move(job, State.DONE)
        store.move(job, State.PREPARING)
        with pytest.raises(TransitionError, match="no longer queued"):
            store.move(job, State.CANCELLED)
        assert store.job(job.id).state is State.PREPARING


@pytest.mark.parametrize("state", (State.TRAINING, State.MERGING))
def test_a_job_goes_to_its_own_state_as_a_later_attempt_only(path: Path, state: State) -> None:
    """A resumed training keeps its devices; the same attempt is never begun twice."""
    with Store.open(path) as store:
        job = store.move(store.add(NewJob("c", "run", devices=(0,))), State.PREPARING)
        job = store.move(job, State.TRAINING)
        job = job if state is State.TRAINING else store.move(job, state)
        held = store.locks()
        with pytest.raises(TransitionError, match="already, as attempt 1"):
            store.move(job, state, "again")
        resumed = store.move(job, state, "resumed", attempt=2)
        assert (resumed.state, resumed.attempt, store.locks()) == (state, 2, held)
        with pytest.raises(TransitionError, match="as attempt 1"):
            store.move(job, State.FAILED)


def test_devices_can_stay_locked_after_the_end(path: Path) -> None:
    """Until they are freed, no other job gets them; a job that still runs keeps its own in any case."""
    with Store.open(path) as store:
        one, two = (store.add(NewJob(f"c{n}", "run", devices=(0,))) for n in (0, 2))
        training = store.move(store.move(one, State.PREPARING), State.TRAINING)
        store.free_devices(training)
        failed = store.move(training, State.FAILED, "stuck", keep_devices=True)
        with pytest.raises(DeviceTakenError):
            store.move(two, State.PREPARING)
        store.free_devices(failed)
        assert store.move(two, State.PREPARING).state is State.PREPARING


def test_why_a_job_waits_can_change(path: Path) -> None:
    """Without a line in its history; a job that has moved on keeps its own reason."""
    with Store.open(path) as store:
        job = store.add(NewJob("c", "run"))
        store.explain(job, "waits: device 0 is in use")
        assert store.job(job.id).reason == "waits: device 0 is in use"
        assert len(store.history(job.id)) == 1
        store.move(job, State.PREPARING)
        store.explain(job, "waits: late")
        assert store.job(job.id).reason == ""


def test_history_tells_every_state_with_its_reason(path: Path) -> None:
    """A state always answers why."""
    with Store.open(path) as store:
        job = store.add(NewJob("c", "run"))
        store.move(job, State.FAILED, "no rank table")
        assert [(t.state, t.reason) for t in store.history(job.id)] == [
            (State.QUEUED, ""),
            (State.FAILED, "no rank table"),
        ]


def test_what_programs_tell_a_reason_by_goes_with_it(path: Path) -> None:
    """A code is of one reason: a move, or another reason, without one has none."""
    with Store.open(path) as store:
        job = store.add(NewJob("c", "run"), State.QUEUED, "waits: for devices", "device.busy")
        store.explain(job, "waits: for ports", "device.port")
        assert store.job(job.id).code == "device.port"
        store.explain(job, "waits: for ports", "device.ports")
        assert store.job(job.id).code == "device.ports"
        store.explain(job, "waits: for ports")
        assert store.job(job.id).code == ""
        job = store.move(job, State.PREPARING)
        job = store.move(job, State.FAILED, "no rank table", "rank-table.missing")
    with ReadStore.open(path) as store:
        assert store.job(job.id) == job
        assert (job.reason, job.code) == ("no rank table", "rank-table.missing")
        assert [step.code for step in store.history(job.id)] == ["device.busy", "", "rank-table.missing"]


@pytest.mark.parametrize("source", Source)
def test_what_a_job_was_made_of_is_kept(path: Path, source: Source) -> None:
    """Whatever its claim is called."""
    with Store.open(path) as store:
        job = store.add(NewJob("tree:or not", "run", source=source))
    with ReadStore.open(path) as store:
        assert store.job(job.id).source is source


def test_a_file_dropped_twice_is_recognised_until_the_first_is_over(path: Path) -> None:
    """The same bytes count as the same job only while that one is not over."""
    with Store.open(path) as store:
        job = store.add(NewJob("c", "run", digest="abc"))
        assert store.unfinished_with("abc") == job
        store.move(job, State.CANCELLED)
        assert store.unfinished_with("abc") is None
        newest = store.newest_with("abc")
        assert newest is not None
        assert newest.id == job.id


def test_a_wish_to_cancel_is_kept_until_the_job_is_over(path: Path) -> None:
    """It survives a restart and the step that was on; a retry begins without it."""
    with Store.open(path) as store:
        job = store.add(NewJob("c", "run"))
        store.move(job, State.PREPARING)
        store.ask_to_cancel(job)
    with Store.open(path) as store:
        assert store.move(store.job(job.id), State.TRAINING).cancel
        assert not store.move(store.job(job.id), State.CANCELLED).cancel


def test_a_nightly_time_is_remembered(path: Path) -> None:
    """The last time a cycle was dropped for survives a restart."""
    due = datetime(2026, 11, 24, 2, tzinfo=UTC)
    with Store.open(path) as store:
        assert store.last_due("glm") is None
        store.set_last_due("glm", due)
    with Store.open(path) as store:
        assert store.last_due("glm") == due


def test_a_damaged_file_is_said_to_be_one(path: Path) -> None:
    """A store that is no database is an error that names the file, not an empty store."""
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match=r"glmd\.db"):
        Store.open(path)


def test_a_nightly_time_is_kept_with_what_it_was_counted_by(path: Path) -> None:
    """The zone's offset and the expression; a cycle that is gone from the settings is forgotten."""
    due = datetime(2026, 11, 24, 2, tzinfo=timezone(timedelta(hours=8)))
    with Store.open(path) as store:
        assert store.cron_of("glm") == ""
        store.set_last_due("glm", due, "0 2 * * *")
        store.set_last_due("other", due, "@daily")
        store.forget_cycles(keep=["glm", "new"])
        assert store.last_due("other") is None
        store.forget_cycles(keep=["glm"])
    with Store.open(path) as store:
        last = store.last_due("glm")
        assert last == due
        assert last.utcoffset() == timedelta(hours=8)
        assert store.cron_of("glm") == "0 2 * * *"
        store.forget_cycles(keep=[])
        assert store.last_due("glm") is None


def test_no_drop_is_held_against_all_jobs_one_by_one(path: Path) -> None:
    """Ten thousand jobs make the look for the same bytes or name no slower, in a store of before, too."""
    Store.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("DROP INDEX jobs_by_digest")
    connection.execute("DROP INDEX jobs_by_name")
    connection.close()
    with Store.open(path) as store:
        for where in ("digest = ''", "name = '' AND submitted >= ''"):
            plan = store._connection.execute(f"EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE {where}").fetchall()  # noqa: S608
            assert "SEARCH jobs USING" in plan[0][-1]


def test_reading_does_not_make_a_store(path: Path) -> None:
    """`glmd status` of a wrong root says so and leaves nothing behind."""
    with pytest.raises(StoreError, match="no store there"):
        ReadStore.open(path)
    assert not path.exists()


def test_readers_see_what_the_daemon_wrote_and_cannot_write(path: Path) -> None:
    """A reader beside the living daemon sees each finished transition."""
    with Store.open(path) as store, ReadStore.open(path) as reader:
        job = store.add(NewJob("c", "run"))
        assert reader.job(job.id) == job
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM jobs")


def test_what_a_reader_has_cannot_write(path: Path) -> None:
    """It is of another type, to which none of the daemon's ways of changing the store belongs."""
    writing = set(dir(Store)) - set(dir(ReadStore))
    assert {"add", "add_again", "add_forgotten", "ask_to_cancel", "explain", "move", "set_last_due"} <= writing
    Store.open(path).close()
    with ReadStore.open(path) as reader:
        assert type(reader) is ReadStore
        assert not [name for name in writing if hasattr(reader, name)]


@pytest.mark.parametrize("state", ("in use", "killed", "stopped", "stopped while another read it"))
def test_a_reader_creates_nothing(path: Path, tmp_path: Path, state: str) -> None:
    """A daemon's store is read by whoever may, in every state of it, and no file comes of that."""
    store = Store.open(path)
    store.add(NewJob("c", "run"))
    if state == "killed":
        left = tmp_path / "left"
        shutil.copytree(path.parent, left)
        path = left / path.name
    elif state.startswith("stopped"):
        store.close()
    if state.endswith("read it"):
        path.with_name("glmd.db-wal").touch()  # SQLite has no way to open what was there a moment ago, and not make it
    before = {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()}
    with ReadStore.open(path) as reader:
        assert [job.name for job in reader.jobs()] == ["run"]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM jobs")
    assert {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()} == before
    store.close()


@pytest.mark.parametrize("read", (ReadStore.open, lambda path: copy_as_it_is(path, path.with_name("copy"))))
def test_a_daemon_that_stops_while_a_reader_opens_the_store_is_no_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], ReadStore | int]
) -> None:
    """Nor does it leave a store that nobody can read until glmd is started."""
    store = Store.open(path)
    store.add(NewJob("c", "run"))
    connect = reading._connect

    def stop_first(path: Path, *, in_use: bool) -> sqlite3.Connection:
        store.close()
        return connect(path, in_use=in_use)

    monkeypatch.setattr(reading, "_connect", stop_first)
    found = read(path)
    if isinstance(found, ReadStore):
        found.close()
    with ReadStore.open(path) as reader:
        assert [job.name for job in reader.jobs()] == ["run"]


def test_a_reader_sees_what_only_the_log_of_a_killed_daemon_has(path: Path, tmp_path: Path) -> None:
    """What was committed counts, wherever SQLite keeps it; without its index nothing is made up."""
    with Store.open(path) as store:
        for number in range(3):
            store.add(NewJob(f"c{number}", "run"))
        shutil.copytree(path.parent, tmp_path / "left")
    left = tmp_path / "left" / path.name
    with ReadStore.open(left) as reader:
        assert len(reader.jobs()) == 3
    left.with_name("glmd.db-shm").unlink()
    with pytest.raises(StoreError, match=r"glmd\.db-wal is there without glmd\.db-shm: start glmd"):
        ReadStore.open(left)
    assert not left.with_name("glmd.db-shm").exists()


@pytest.mark.root
def test_what_another_users_reader_left_does_not_keep_the_daemon_from_starting(path: Path) -> None:
    """Older versions of `glmd status` made an empty log and its index, which the daemon may not write."""
    with Store.open(path) as store:
        store.add(NewJob("c", "run"))
    for ending in ("wal", "shm"):
        left = path.with_name(f"glmd.db-{ending}")
        left.touch()
        os.chown(left, 65534, 65534)
    with Store.open(path) as store:
        assert [job.name for job in store.jobs()] == ["run"]
        assert path.with_name("glmd.db-wal").stat().st_uid == os.geteuid()


@pytest.mark.root
def test_what_a_daemon_of_another_user_committed_is_not_thrown_away(path: Path, tmp_path: Path) -> None:
    """It is named with its owner and the mend."""
    with Store.open(path) as store:
        store.add(NewJob("c", "run"))
        shutil.copytree(path.parent, tmp_path / "left")
    left = tmp_path / "left" / path.name
    os.chown(left.with_name("glmd.db-wal"), 65534, 65534)
    with pytest.raises(StoreError, match=r"glmd\.db-wal: it belongs to nobody, and glmd runs as root: .* chown root"):
        Store.open(left)


def test_every_transition_is_one_synced_transaction(path: Path) -> None:
    """WAL with synchronous=FULL: what was answered survives a power cut."""
    with Store.open(path) as store:
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_jobs_of_a_name_since_then(path: Path) -> None:
    """Oldest first, and none that was submitted before, nor of another name."""
    with Store.open(path) as store:
        store.add(NewJob("c0", "run"))
        first, second = (store.add(NewJob(claim, "run")) for claim in ("c1", "c2"))
        store.add(NewJob("c3", "other"))
        assert store.named_since("run", first.submitted) == (first, second)
        assert store.named_since("run", datetime.now(UTC)) == ()


@pytest.mark.parametrize(
    ("raised", "told"),
    (
        (sqlite3.OperationalError("disk I/O error"), StoreError),
        (sqlite3.DatabaseError("database disk image is malformed"), DamagedStoreError),
    ),
)
def test_what_stops_a_reader_midway_is_told_with_the_store_s_path(
    path: Path, raised: sqlite3.Error, told: type[StoreError]
) -> None:
    """As what stops it at the start is: one line and an exit code, no traceback; the daemon itself gets it bare."""
    Store.open(path).close()
    with pytest.raises(told, match=f"^{path}: .*{raised}") as caught, ReadStore.open(path):
        raise raised
    assert type(caught.value) is told
    with pytest.raises(sqlite3.Error), Store.open(path):
        raise raised


UNREADABLE = (
    ("attempt", "1 << 62"),
    ("devices", "'" + "[" * 60_000 + "'"),
    ("state", "'nowhere'"),
    ("state", "CAST(x'ff' AS TEXT)"),
    ("submitted", "'yesterday'"),
    ("changed", "'2026-01-01T00:00:00'"),
    ("name", "'../../x'"),
    ("name", "'a' || char(0)"),
    ("prefix", "'../../x'"),
    ("source", "'a dream'"),
)


@pytest.mark.parametrize(("column", "value"), UNREADABLE)
def test_a_row_that_says_nothing_is_left_alone(path: Path, column: str, value: str) -> None:
    """And told, until somebody has mended it; the others are read."""
    with Store.open(path) as store:
        for number in (1, 2):
            store.add(NewJob(f"c{number}", "run"))
        whole = store._connection.execute("SELECT * FROM jobs WHERE id = 1").fetchone()
        store._connection.execute(f"UPDATE jobs SET {column} = {value} WHERE id = 1")  # noqa: S608 - ours
        assert [job.id for job in store.jobs()] == [2]
        assert store.readable(1) is None
        (told,) = store.unreadable_lines(3)
        assert told.startswith("job 1: its row in the store cannot be read: ")
        assert len(told) < 400
        store._connection.execute(f"INSERT OR REPLACE INTO jobs VALUES ({', '.join('?' * len(whole))})", whole)  # noqa: S608
        assert [job.id for job in store.jobs()] == [1, 2]
        assert store.unreadable_lines(3) == []


def test_text_that_is_not_utf_8_spoils_no_other_row(path: Path) -> None:
    """SQLite holds whatever was written; sqlite3 by itself would give none of the rows."""
    with Store.open(path) as store:
        for number in (1, 2):
            store.add(NewJob(f"c{number}", "run"))
        store._connection.execute("UPDATE jobs SET reason = CAST(x'61ff' AS TEXT) WHERE id = 1")
        assert [job.reason for job in store.jobs()] == ["a\ufffd", ""]


def test_what_is_told_of_many_rows_is_short(path: Path) -> None:
    """It stands in a headline."""
    with Store.open(path) as store:
        for number in range(9):
            store.add(NewJob(f"c{number}", "run"))
        store._connection.execute("UPDATE jobs SET attempt = 0")
        assert store.jobs() == ()
        assert len(told := store.unreadable_lines(3)) == 4
        assert told[3] == "6 more such rows"


def test_a_move_in_the_history_that_says_nothing_is_left_out(path: Path) -> None:
    """`glmd doctor --state` tells of it."""
    with Store.open(path) as store:
        job = store.move(store.add(NewJob("c", "run")), State.CANCELLED)
        store._connection.execute("UPDATE transitions SET state = 'nowhere' WHERE state = 'queued'")
        assert [step.state for step in store.history(job.id)] == [State.CANCELLED]


def test_no_look_at_what_is_shown_reads_the_whole_table(path: Path) -> None:
    """With a hundred thousand jobs: by index, without sorting. What is counted is counted in an index."""
    with Store.open(path) as store:
        job = store.add(NewJob("c", "run", digest="d"))
        asked: list[str] = []
        store._connection.set_trace_callback(asked.append)
        store.queue(10)
        store.newest_over(10)
        store.newest_with("d")
        store.jobs([State.TRAINING, State.MERGING])
        store.page(5, 10)
        counts = len(asked)
        store.queue_length()
        store.count({State.DONE, State.FAILED})
        store.highest()
        store.history(job.id)
        store._connection.set_trace_callback(None)
        for number, statement in enumerate(asked):
            for *_, step in store._connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                is_counted = number >= counts and "COVERING INDEX" in step
                are_few = "B-TREE" in step and "state IN ('training'" in statement
                assert step.startswith("SEARCH") or is_counted or are_few, f"{step}: {statement}"


def test_jobs_come_by_pages(path: Path) -> None:
    """Each once, and those that cannot be read are told."""
    with Store.open(path) as store:
        for number in range(5):
            store.add(NewJob(str(number), "run"))
        store._connection.execute("UPDATE jobs SET attempt = 0 WHERE id = 2")
        first = store.page(0, 2)
        assert ([job.id for job in first.jobs], first.last) == ([1], 2)
        assert list(store.unreadable) == [2]
        second = store.page(2, 2)
        assert ([job.id for job in second.jobs], second.last) == ([3, 4], 4)
        assert (len(store.page(4, 2).jobs), store.page(4, 2).last) == (1, None)
        assert store.highest() == 5


def test_the_newest_that_are_over(path: Path) -> None:
    """Whatever they came to, and however it was they could not be read."""
    with Store.open(path) as store:
        for number in range(9):
            store.add(NewJob(str(number), "run"), (State.REJECTED, State.FAILED, State.QUEUED)[number % 3])
        assert [job.id for job in store.newest_over(3)] == [5, 7, 8]
        store._connection.execute("UPDATE jobs SET attempt = 0 WHERE id = 7")
        assert [job.id for job in store.newest_over(3)] == [4, 5, 8]


def test_the_last_that_came_to_be_over(path: Path) -> None:
    """By the time at which they did, whatever their numbers."""
    with Store.open(path) as store:
        jobs = [store.add(NewJob(str(number), "run")) for number in range(4)]
        for number in (2, 0, 1):
            store.move(jobs[number], State.CANCELLED)
            # Two may have come to be over within one tick of the clock.
            changed = datetime(2026, 1, 1, 3 - number, tzinfo=UTC).isoformat()
            store._connection.execute("UPDATE jobs SET changed = ? WHERE id = ?", (changed, jobs[number].id))
        assert [job.id for job in store.last_over(2)] == [1, 2]
