"""Promises of daemon.serve.work: what is shown of trainings is theirs, and of now."""

import time
from concurrent.futures import Future
from pathlib import Path

from daemon.core.root import Root
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Workers
from daemon.serve.work import LEAST_ROOM, Work
from handlers.rank_log.progress import Progress


def test_what_an_earlier_attempt_was_at_is_not_shown_of_the_next(tmp_path: Path) -> None:
    """Which has begun anew; not even when the look at the earlier one's logs ends only then."""
    with Store.open(tmp_path / "glmd.db") as store:
        work = Work(Root(tmp_path), store, Workers(lambda: None), Faults())
        job = store.add(NewJob("c", "run", devices=(0,)))
        for state in (State.PREPARING, State.TRAINING):
            job = store.move(job, state)
        seen: Future[Progress | None] = Future()
        seen.set_result(Progress(epoch=12, epochs=31, step=1, steps=4, loss=2.31, seconds_per_step=None))
        work._progressed((1, 1), seen)
        work.look(time.monotonic())
        assert "epoch 12/31" in work.summary
        store.move(job, State.TRAINING, attempt=2)
        work._progressed((1, 1), seen)
        work.look(time.monotonic())
        assert "epoch" not in work.summary


def test_nothing_is_looked_at_where_nothing_trains(tmp_path: Path) -> None:
    """An idle daemon sleeps."""
    with Store.open(tmp_path / "glmd.db") as store:
        work = Work(Root(tmp_path), store, Workers(lambda: None), Faults())
        work.look(time.monotonic())
        assert work.next_due is None
        assert work.summary == "idle; 0 queued"


def test_what_failed_is_told_until_it_is_tried_again(tmp_path: Path) -> None:
    """A night that went wrong is seen by whoever looks at the unit in the morning, and no longer than it is so."""
    with Store.open(tmp_path / "glmd.db") as store:
        work = Work(Root(tmp_path), store, Workers(lambda: None), Faults())
        job = store.add(NewJob("c", "run", devices=(0,)))
        work.look(time.monotonic())
        assert work.summary == "idle; 1 queued"
        job = store.move(job, State.FAILED, reason="no")
        work.look(time.monotonic())
        assert work.summary == "0001-run failed: see glmd status 1; idle; 0 queued"
        store.move(job, State.QUEUED)
        work.look(time.monotonic())
        assert work.summary == "idle; 1 queued"


def test_a_full_disk_is_told_while_something_trains(tmp_path: Path) -> None:
    """Its ranks are over and their end cannot be written down: without this it looks as if they trained."""
    with Store.open(tmp_path / "glmd.db") as store:
        faults = Faults()
        work = Work(Root(tmp_path), store, Workers(lambda: None), faults)
        job = store.add(NewJob("c", "run", devices=(0,)))
        for state in (State.PREPARING, State.TRAINING):
            job = store.move(job, state)
        for free, told in ((LEAST_ROOM - 1, True), (LEAST_ROOM, False), (0, True)):
            seen: Future[int] = Future()
            seen.set_result(free)
            work._room_seen(seen)
            assert ("the disk of jobs/: [Errno 28] No space left on device" in faults.summary) == told
        store.move(job, State.FAILED)
        work.look(time.monotonic())
        assert not faults.summary
