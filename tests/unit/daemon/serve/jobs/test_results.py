"""Promises of daemon.serve.jobs.results: of each job that is over the store has what it came to."""

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.results import Result
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.serve.jobs import results
from daemon.serve.jobs.results import AWAY, LOOKS, Results
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Workers
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import Outcome, StepExit
from handlers.training_record.record import RecordWriter
from handlers.training_record.rows import Header

BEGAN = datetime(2026, 11, 24, 2, tzinfo=UTC)
DONE = (State.PREPARING, State.TRAINING, State.MERGING, State.DONE)
FAILED = (State.PREPARING, State.TRAINING, State.FAILED)


class House:
    """A store and what measures its jobs, turned by a test."""

    def __init__(self, path: Path, store: Store) -> None:
        self.root, self.store = Root(path), store
        self.woken = threading.Semaphore(0)
        self.workers, self.faults = Workers(self.woken.release), Faults()
        self.now = time.monotonic()
        self.anew()

    def anew(self) -> None:
        """Forget all that a restart forgets."""
        self.results = Results(self.root, self.store, self.workers, self.faults)

    def job(self, *ways: State, losses: tuple[float, ...] = (), attempt: int = 1) -> Job:
        """Add a job that has gone these ways and left its records."""
        job = self.store.add(NewJob(f"claim {time.monotonic_ns()}", "run", devices=(0,)))
        for state in ways:
            job = self.store.move(job, state)
        directory = self.directory(job)
        directory.path.mkdir(parents=True)
        record(directory, attempt, losses)
        return job

    def directory(self, job: Job) -> JobDir:
        """Return a job's directory."""
        return job.directory(self.root.path)

    def turn(self, later: float = 10.0) -> bool:
        """Turn some seconds later; return whether a job was looked at."""
        self.now = max(self.now, time.monotonic()) + later
        self.results.turn(self.now)
        if not self.results._is_at_work:
            return False
        assert self.woken.acquire(timeout=10)
        self.workers.deliver()
        return True

    def settle(self) -> None:
        """Turn until there is nothing to do."""
        while self.turn():
            pass

    def kept(self, job: Job) -> Result | None:
        """Return what is kept of a job."""
        return self.store.results([job.id]).get(job.id)


def record(directory: JobDir, attempt: int, losses: tuple[float, ...], first: int = 1) -> None:
    """Let an attempt have recorded steps with these losses."""
    steps = [
        LoggedStep(StepLine(time=1e9 + n, epoch=1, epochs=1, step=n, steps=99, loss=loss), 100 * n)
        for n, loss in enumerate(losses, first)
    ]
    place = directory.step(attempt, Step.TRAIN).path
    place.mkdir(parents=True, exist_ok=True)
    RecordWriter(place, Header(1, attempt, 1, 2, "npu01", 1, 99)).append(steps, 1)


def end(directory: JobDir, attempt: int, step: Step, seconds: float) -> None:
    """Let a step have ended after so long."""
    place = directory.step(attempt, step)
    place.path.mkdir(parents=True, exist_ok=True)
    ended = BEGAN + timedelta(seconds=seconds)
    StepExit(step=step, outcome=Outcome.COMPLETED, reason="", started=BEGAN, ended=ended).publish(place.exit)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a root that has no jobs yet."""
    root = Root(tmp_path / "root")
    root.create()
    with Store.open(root.store) as store:
        yield House(root.path, store)


def test_what_a_job_came_to_is_kept(house: House) -> None:
    """Its losses are those of all attempts, its time that of all their steps, its bytes those of the manifest."""
    job = house.job(*DONE, losses=(9.0, 1.0, 5.0))
    directory = house.directory(job)
    record(directory, 2, tuple(2.0 + (n % 2) for n in range(30)), first=3)
    end(directory, 1, Step.TRAIN, 3600)
    end(directory, 2, Step.TRAIN, 1800)
    end(directory, 2, Step.MERGE, 60)
    directory.merged.mkdir()
    files = [{"name": f"m{n}.ckpt", "size": 1 << 30, "mtime_ns": 0} for n in range(2)]
    manifest = {"format": 2, "prefix": "glm", "files": files, "index": None}
    (directory.merged / "manifest.json").write_text(json.dumps(manifest))
    house.settle()
    assert house.kept(job) == Result(final_loss=2.5, best_loss=1.0, seconds=5460.0, bytes=2 << 30)


def test_what_its_shards_take_is_kept(house: House) -> None:
    """Of all ranks and tags, with those of weights alone; what an earlier attempt has left is not counted."""
    job = house.job(*DONE)
    directory = house.directory(job)
    places = {
        directory.output / "checkpoint" / "rank_0" / "glm_rank_0-1_4.ckpt": 100,
        directory.output / "checkpoint" / "rank_0" / "glm_rank_0-2_4.ckpt": 100,
        directory.output / "checkpoint" / "rank_1" / "glm_rank_1-2_4.ckpt": 100,
        directory.output / "checkpoint" / "rank_1" / "graph.meta": 7,
        directory.output / "checkpoint_network" / "rank_0" / "glm_rank_0-network.ckpt": 20,
        directory.earlier_output(1) / "checkpoint" / "rank_0" / "glm_rank_0-1_4.ckpt": 1000,
    }
    for path, size in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    house.settle()
    assert house.kept(job) == Result(shards=320)


def test_a_loss_that_is_no_number_is_none(house: House) -> None:
    """The final one where one of the last steps had none; the best is the lowest that is one."""
    job = house.job(*FAILED, losses=(3.0, float("nan"), float("inf"), float("-inf")))
    house.settle()
    assert house.kept(job) == Result(final_loss=None, best_loss=3.0)


def test_what_a_killed_shim_did_not_tell_is_left_out(house: House) -> None:
    """As is what cannot be read: nothing is guessed."""
    job = house.job(*FAILED, losses=(3.0,))
    end(house.directory(job), 2, Step.TRAIN, 30)
    damaged = house.directory(job).step(3, Step.TRAIN)
    damaged.path.mkdir(parents=True)
    damaged.exit.write_text("{")
    house.settle()
    assert house.kept(job) == Result(final_loss=3.0, best_loss=3.0, seconds=30.0)


def test_jobs_are_measured_one_by_one_the_newest_first(house: House) -> None:
    """Those of before an upgrade, too; of what goes on, or was rejected, nothing is kept."""
    jobs = [house.job(*ways) for ways in (DONE, FAILED, (State.CANCELLED,), (State.PREPARING,))]
    house.store.add(NewJob("rejected", "bad"), State.REJECTED)
    order: list[int] = []
    while house.turn():
        order += [job.id for job in jobs if house.kept(job) and job.id not in order]
    assert order == [3, 2, 1]
    assert house.store.results([4, 5]) == {}
    assert house.results.next_due(house.now) is None


def test_one_is_measured_at_a_time_and_not_at_once(house: House) -> None:
    """It is never urgent."""
    house.job(*DONE)
    house.job(*DONE)
    house.now = time.monotonic()
    house.results.turn(house.now)
    house.results.turn(house.now + 60)
    assert house.woken.acquire(timeout=10)
    house.workers.deliver()
    now = time.monotonic()
    house.results.turn(now)
    due = house.results.next_due(now)
    assert due is not None
    assert now < due <= now + 1
    assert len(house.store.results([1, 2])) == 1


def test_nothing_to_do_costs_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is not asked again until something is written to it."""
    house.job(*DONE)
    house.settle()
    asked: list[object] = []
    unmeasured = Store.unmeasured
    monkeypatch.setattr(Store, "unmeasured", lambda *args: asked.append(args) or unmeasured(*args))
    house.turn()
    assert asked == []
    house.job(*DONE)
    house.settle()
    assert asked
    assert len(house.store.results([1, 2])) == 2


def test_a_retry_forgets_what_came_before(house: House) -> None:
    """In the same transaction; what is measured meanwhile of the attempt before counts no more."""
    job = house.job(*FAILED, losses=(3.0,))
    house.settle()
    assert house.kept(job)
    again = house.store.move(job, State.QUEUED, attempt=2)
    assert house.kept(job) is None
    for state in FAILED:
        again = house.store.move(again, state)
    house.now = time.monotonic() + 10
    house.results.turn(house.now)
    house.store.move(again, State.QUEUED, attempt=3)
    assert house.woken.acquire(timeout=10)
    house.workers.deliver()
    assert house.kept(job) is None


def test_a_crash_loses_nothing(house: House) -> None:
    """What was not kept is found by the next daemon."""
    job = house.job(*DONE, losses=(3.0,))
    house.results.turn(time.monotonic())
    assert house.woken.acquire(timeout=10)
    house.anew()
    assert house.kept(job) is None
    house.workers.deliver()
    house.anew()
    house.settle()
    assert house.kept(job) == Result(final_loss=3.0, best_loss=3.0)


@pytest.mark.parametrize("which", ("jobs", "one"))
def test_a_directory_that_is_away_is_waited_for(house: House, which: str) -> None:
    """Without a rest in between nothing is looked at; and when it is back, the result is kept."""
    job = house.job(*DONE, losses=(3.0,))
    away = house.root.jobs if which == "jobs" else house.directory(job).path
    away.rename(house.root.path / "elsewhere")
    assert house.turn()
    assert not house.turn(later=1)
    due = house.results.next_due(house.now)
    assert due is not None
    assert due > house.now
    (house.root.path / "elsewhere").rename(away)
    assert house.kept(job) is None
    assert house.turn(later=AWAY)
    assert house.kept(job) == Result(final_loss=3.0, best_loss=3.0)


def test_one_that_is_away_holds_up_no_other(house: House) -> None:
    """The older one is measured meanwhile."""
    older, newer = house.job(*DONE), house.job(*DONE)
    house.directory(newer).path.rename(house.root.path / "elsewhere")
    house.settle()
    assert (house.kept(older), house.kept(newer)) == (Result(), None)


def test_a_directory_that_was_deleted_is_given_up(house: House) -> None:
    """As operations.md allows for jobs that are over."""
    job = house.job(*DONE, losses=(3.0,))
    shutil.rmtree(house.directory(job).path)
    looks = sum(house.turn(later=AWAY * 2**LOOKS) for _ in range(2 * LOOKS))
    assert looks == LOOKS + 1
    assert house.kept(job) == Result()


def test_a_defect_sets_one_job_aside(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a result of which nothing is known, and the others theirs."""
    older, newer = house.job(*DONE, losses=(3.0,)), house.job(*DONE, losses=(3.0,))
    training_in = results.training_in
    monkeypatch.setattr(
        "daemon.serve.jobs.results.training_in",
        lambda places: {}[1] if str(newer.id) in places[0].parts[-4] else training_in(places),
    )
    house.settle()
    assert (house.kept(older), house.kept(newer)) == (Result(3.0, 3.0), Result())
    assert "a defect of glmd met" in house.faults.summary


def test_what_is_no_directory_gives_no_result(house: House) -> None:
    """It does not become one by waiting."""
    job = house.job(*DONE)
    shutil.rmtree(house.directory(job).path)
    house.directory(job).path.write_text("a file")
    house.settle()
    assert house.kept(job) == Result()


def test_a_row_that_says_nothing_is_left_alone(house: House) -> None:
    """And holds up no other."""
    older, newer = house.job(*DONE), house.job(*DONE)
    with closing(sqlite3.connect(house.root.store)) as connection, connection:
        connection.execute("UPDATE jobs SET devices = 'none' WHERE id = ?", (newer.id,))
    for _ in range(3):
        house.turn()
    assert house.kept(older) == Result()
    assert house.kept(newer) is None
