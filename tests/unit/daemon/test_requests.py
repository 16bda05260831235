"""Promises of daemon.requests that no running daemon shows well."""

from datetime import UTC, datetime
from pathlib import Path

from daemon.requests import Requests
from daemon.root import Root
from daemon.states import State
from daemon.store import NewJob, Store
from daemon.waiting import Waiting
from handlers.job_dir import Step
from handlers.outcome import Outcome, StepExit, Survivor
from handlers.process import ProcessIdentity


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
        Requests(Root(tmp_path), store, waiting).cancel(job)
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
            requests.retry(job)
            assert store.job(job.id).state is (State.MERGING if save else State.QUEUED)
