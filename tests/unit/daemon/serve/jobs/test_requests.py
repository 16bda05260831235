"""Promises of daemon.serve.jobs.requests that no running daemon shows well."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.control import RequestRefusedError
from daemon.core.prunings import Pruning
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.setting_sections import Cancel
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.core.users import User
from daemon.serve.jobs.requests import Requests
from daemon.serve.loop.waiting import Waiting
from handlers.codes import Code
from handlers.records.job_dir import Step
from handlers.records.job_plan import JobPlan, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Divergence, Outcome, StepExit, Survivor
from handlers.retention.part import Part


def test_a_merge_can_be_cancelled_though_processes_are_left_of_its_training(tmp_path: Path) -> None:
    """A merge needs no devices; that these stay locked is no reason to let it run."""
    me, now = ProcessIdentity.of(1), datetime.now(UTC)
    left = Survivor(
        pid=me.pid, start_time=me.start_time, boot_id=me.boot_id, name="python", state="D", rank=0, device=0
    )
    with Store.open(tmp_path / "glmd.db") as store, Waiting() as waiting:
        job = store.add(NewJob("c", "run", devices=(0,)))
        train = job.directory(tmp_path).step(1, Step.TRAIN)
        train.path.mkdir(parents=True)
        StepExit(
            step=Step.TRAIN, outcome=Outcome.COMPLETED, reason="", survivors=(left,), started=now, ended=now
        ).publish(train.exit)  # fmt: skip
        job = store.move(store.move(job, State.PREPARING), State.TRAINING)
        job = store.move(job, State.MERGING, keep_devices=True)
        Requests(Root(tmp_path), store, waiting).cancel(job, User(0))
        assert store.job(job.id).cancel
        assert store.locks() == {0: 1}


def test_a_retry_merges_only_where_something_was_saved(tmp_path: Path) -> None:
    """By whichever attempt; where the saves are gone, or never were, it trains."""
    with Store.open(tmp_path / "glmd.db") as store, Waiting() as waiting:
        requests = Requests(Root(tmp_path), store, waiting)
        for number, save in enumerate((None, "output", "attempts/1/output"), 1):
            job = store.add(NewJob(f"c{number}", "run"))
            directory = job.directory(tmp_path)
            directory.path.mkdir(parents=True)
            directory.submitted.touch()
            if save:
                ranks = directory.path / save / "checkpoint" / "rank_0"
                ranks.mkdir(parents=True)
                (ranks / "glm-6b_rank_0-1_4.ckpt").touch()
            for state in (State.PREPARING, State.TRAINING, State.MERGING, State.FAILED):
                job = store.move(job, state)
            requests.retry(job, User(0))
            assert store.job(job.id).state is (State.MERGING if save else State.QUEUED)


def test_a_job_is_not_retried_while_its_files_are_being_removed(tmp_path: Path) -> None:
    """It would go on with half of its shards; once they are gone it begins anew."""
    with Store.open(tmp_path / "glmd.db") as store, Waiting() as waiting:
        job = store.add(NewJob("c", "run"))
        for state in (State.PREPARING, State.TRAINING, State.FAILED):
            job = store.move(job, state)
        directory = job.directory(tmp_path)
        directory.path.mkdir(parents=True)
        directory.submitted.touch()
        pruning = store.begin_pruning(job, Pruning(job.id, Part.SHARDS, 100, "it is old", datetime.now(UTC)))
        requests = Requests(Root(tmp_path), store, waiting)
        with pytest.raises(RequestRefusedError, match="its files are being removed") as refused:
            requests.retry(job, User(0))
        assert refused.value.code == Code.JOB_BEING_PRUNED
        store.end_pruning(pruning)
        requests.retry(job, User(0))
        assert store.job(job.id).state is State.QUEUED


@pytest.mark.parametrize("last", (1, 2, 7))
@pytest.mark.parametrize("outcome", (Outcome.COMPLETED, Outcome.FAILED))
def test_a_retry_is_an_attempt_that_was_never_begun(tmp_path: Path, last: int, outcome: Outcome) -> None:
    """Of what an older store has forgotten, neither the records nor the saves are taken for the new attempt's."""
    now = datetime.now(UTC)
    with Store.open(tmp_path / "glmd.db") as store, Waiting() as waiting:
        job = store.add(NewJob("c", "run"))
        directory = job.directory(tmp_path)
        (directory.path / "attempts" / "9999999").mkdir(parents=True)  # somebody's own
        directory.submitted.touch()
        for state in (State.PREPARING, State.TRAINING, State.FAILED):
            job = store.move(job, state)
        for attempt in range(1, last + 1):
            train = directory.step(attempt, Step.TRAIN)
            train.path.mkdir(parents=True)
            StepExit(step=Step.TRAIN, outcome=outcome, reason="", started=now, ended=now).publish(train.exit)
        save = directory.output / "checkpoint" / "rank_0" / "glm-6b_rank_0-1_4.ckpt"
        save.parent.mkdir(parents=True)
        save.touch()
        Requests(Root(tmp_path), store, waiting).retry(job, User(0))
        state = State.MERGING if outcome is Outcome.COMPLETED else State.QUEUED
        assert (store.job(job.id).attempt, store.job(job.id).state) == (last + 1, state)


def test_what_writers_made_anew_of_a_removed_directory_is_not_merged(tmp_path: Path) -> None:
    """A plan to train, without the file to train by and without saves, is nothing to run."""
    with Store.open(tmp_path / "glmd.db") as store, Waiting() as waiting:
        job = store.add(NewJob("c", "run"))
        directory = job.directory(tmp_path)
        directory.path.mkdir(parents=True)
        for state in (State.PREPARING, State.TRAINING, State.FAILED):
            job = store.move(job, state)
        train = TrainPlan(processes=(), limits=TimeLimits(silence=None, first_step=None), grace=1.0)
        merge = MergePlan(source=directory.output, destination=directory.merged)
        JobPlan(job=1, name="run", train=train, merge=merge).publish(directory.plan)
        with pytest.raises(RequestRefusedError, match="nothing to run any more; drop the file again"):
            Requests(Root(tmp_path), store, waiting).retry(job, User(0))
        assert store.job(job.id) == job


@pytest.mark.parametrize("diverged", (True, False))
def test_what_diverged_is_not_merged_for_want_of_a_file_to_train_by(tmp_path: Path, *, diverged: bool) -> None:
    """Its newest saves are lost; what failed otherwise is merged as far as it came."""
    with Store.open(tmp_path / "glmd.db") as store, Waiting() as waiting:
        job = store.add(NewJob("c", "run"))
        directory, now = job.directory(tmp_path), datetime.now(UTC)
        for state in (State.PREPARING, State.TRAINING, State.FAILED):
            job = store.move(job, state)
        save = directory.output / "checkpoint" / "rank_0" / "glm-6b_rank_0-1_4.ckpt"
        save.parent.mkdir(parents=True)
        save.touch()
        train = TrainPlan(processes=(), limits=TimeLimits(silence=None, first_step=None), grace=1.0)
        merge = MergePlan(source=directory.output, destination=directory.merged)
        JobPlan(job=1, name="run", train=train, merge=merge).publish(directory.plan)
        divergence = Divergence(epoch=1, step=3, number=3, sound=2) if diverged else None
        exit_ = directory.step(1, Step.TRAIN).exit
        exit_.parent.mkdir(parents=True)
        StepExit(
            step=Step.TRAIN, outcome=Outcome.FAILED, reason="", divergence=divergence, started=now, ended=now
        ).publish(exit_)  # fmt: skip
        requests = Requests(Root(tmp_path), store, waiting)
        if diverged:
            with pytest.raises(RequestRefusedError, match="nothing to run any more; drop the file again"):
                requests.retry(job, User(0))
        else:
            requests.retry(job, User(0))
            assert store.job(job.id).state is State.MERGING


@pytest.mark.parametrize("outcome", (Outcome.COMPLETED, Outcome.FAILED))
def test_a_training_whose_directory_was_away_when_it_ended_is_not_done_twice(
    requests: tuple[Requests, Store], tmp_path: Path, outcome: Outcome
) -> None:
    """Its job failed for that; put back, its record tells how it ended, and what it saved is there."""
    asked, store = requests
    job = store.job(1)
    for state in (State.PREPARING, State.TRAINING, State.FAILED):
        job = store.move(job, state)
    directory = job.directory(tmp_path)
    save = directory.output / "checkpoint" / "rank_0" / "glm-6b_rank_0-1_4.ckpt"
    save.parent.mkdir(parents=True)
    save.touch()
    train, now = directory.step(1, Step.TRAIN), datetime.now(UTC)
    train.path.mkdir(parents=True)
    StepExit(step=Step.TRAIN, outcome=outcome, reason="", started=now, ended=now).publish(train.exit)
    asked.retry(job, User(0))
    assert store.job(1).state is (State.MERGING if outcome is Outcome.COMPLETED else State.QUEUED)


@pytest.fixture
def requests(tmp_path: Path) -> Iterator[tuple[Requests, Store]]:
    """Return what answers requests, and its store with job 1, which user 1001 dropped, and job 2, which nobody did."""
    with Store.open(tmp_path / "glmd.db") as store, Waiting() as waiting:
        store.add(NewJob("c", "run", devices=(0,), owner=User(1001)))
        store.add(NewJob("tree", "tree"))
        for job in store.jobs():
            job.directory(tmp_path).path.mkdir(parents=True)
            job.directory(tmp_path).submitted.touch()
        yield Requests(Root(tmp_path), store, waiting), store


def test_who_asked_is_in_the_reason_and_in_the_jobs_events(requests: tuple[Requests, Store], tmp_path: Path) -> None:
    """Of a cancel and of a retry, by the kernel's word."""
    asked, store = requests
    asked.cancel(store.job(1), User(12345))
    assert store.job(1).reason == "cancelled by 12345 while it waited"
    asked.retry(store.job(1), User(0))
    assert store.job(1).reason == "retried by root"
    lines = store.job(1).directory(tmp_path).events.read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["event"] in {"cancel_asked", "retry_asked"}]
    assert [(e["event"], e["user"], e["uid"]) for e in events] == [
        ("cancel_asked", "12345", 12345),
        ("retry_asked", "root", 0),
    ]


def test_who_asked_to_end_a_running_job_is_kept(requests: tuple[Requests, Store]) -> None:
    """Until it has ended, and over a restart of the daemon: it is in the store."""
    asked, store = requests
    job = store.move(store.job(1), State.PREPARING)
    asked.cancel(job, User(12345))
    assert (store.job(1).cancel, store.cancelled_by(job), store.owner_of(job)) == (True, "12345", User(1001))


def test_by_default_every_member_may(requests: tuple[Requests, Store]) -> None:
    """Whoever the kernel lets connect."""
    asked, store = requests
    assert "cancelled" in asked.cancel(store.job(1), User(1002))


@pytest.mark.parametrize("action", ("cancel", "retry"))
@pytest.mark.parametrize(("job", "user"), ((1, 1002), (2, 1001), (2, 1002)))
def test_with_cancel_owner_others_are_refused(
    requests: tuple[Requests, Store], action: str, job: int, user: int
) -> None:
    """The word says whose the job is, and which setting says so; nothing is changed."""
    asked, store = requests
    asked.allowed = Cancel.OWNER
    if action == "retry":
        store.move(store.job(job), State.FAILED)
    before = store.job(job)
    with pytest.raises(RequestRefusedError, match=f"job {job} is not {user}'s: .*`cancel: owner`"):
        getattr(asked, action)(before, User(user))
    assert store.job(job) == before


@pytest.mark.parametrize("user", (1001, 0, os.geteuid()))
def test_with_cancel_owner_the_owner_root_and_glmd_itself_may(
    requests: tuple[Requests, Store], tmp_path: Path, user: int
) -> None:
    """Also retry."""
    asked, store = requests
    asked.allowed = Cancel.OWNER
    store.job(1).directory(tmp_path).submitted.touch()
    assert "cancelled" in asked.cancel(store.job(1), User(user))
    assert "again" in asked.retry(store.job(1), User(user))


def stop_writing(store: Store, *, now: bool) -> None:
    """Let SQLite refuse to write, or write again, as on a full disk."""
    store._connection.execute(f"PRAGMA query_only = {int(now)}")


@pytest.mark.parametrize("waits", (True, False))
def test_a_cancel_needs_no_disk(tmp_path: Path, *, waits: bool) -> None:
    """The job may be what fills it: it is ended all the same, and the answer says what is not written down yet."""
    with (
        Store.open(tmp_path / "glmd.db") as store,
        Waiting() as waiting,
        subprocess.Popen(["sleep", "600"]) as shim,
    ):
        requests = Requests(Root(tmp_path), store, waiting)
        job = store.add(NewJob("c", "run", devices=(0,)))
        if not waits:
            job = store.move(store.move(job, State.PREPARING), State.TRAINING)
        train = job.directory(tmp_path).step(1, Step.TRAIN)
        train.path.mkdir(parents=True)
        me = ProcessIdentity.of(shim.pid)
        record = ShimRecord(pid=me.pid, start_time=me.start_time, boot_id=me.boot_id, started=datetime.now(UTC))
        record.publish(train.shim)
        stop_writing(store, now=True)
        assert "cannot record this yet (attempt to write a readonly database)" in requests.cancel(job, User(12345))
        assert store.job(job.id).cancel
        assert store.job(job.id).state is job.state
        with pytest.raises(sqlite3.OperationalError):
            requests.write_wishes()
        if waits:
            shim.kill()
        else:
            assert shim.wait(60) == -signal.SIGTERM
        stop_writing(store, now=False)
        requests.write_wishes()
        assert store.unwritten_wishes() == {}
        with ReadStore.open(tmp_path / "glmd.db") as another:
            assert another.job(job.id).state is (State.CANCELLED if waits else State.TRAINING)
            assert another.job(job.id).cancel is not waits
            assert waits or another.cancelled_by(job) == "12345"
