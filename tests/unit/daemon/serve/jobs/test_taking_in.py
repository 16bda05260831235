"""The way of a run that lives back into the store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.living import Living, Run
from daemon.core.states import Source, State
from daemon.core.store import DeviceTakenError, NewJob, Store
from daemon.serve.jobs.taking_in import STATE_OF, NotTakenInError, is_accounted_for, take_in
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.process import ProcessIdentity


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    with Store.open(tmp_path / "glmd.db") as store:
        yield store


def found(path: Path, attempt: int = 1, step: Step = Step.TRAIN, job: int = 1) -> Living:
    """Return a run that lives."""
    shim = ProcessIdentity.of(os.getpid())
    return Living(Run(job, attempt, step, "run"), JobDir(path / "jobs" / "0001-run"), shim, (), (0, 1))


WAYS = {
    State.QUEUED: (),
    State.PREPARING: (State.PREPARING,),
    State.TRAINING: (State.PREPARING, State.TRAINING),
    State.MERGING: (State.PREPARING, State.TRAINING, State.MERGING),
    State.EVALUATING: (State.PREPARING, State.TRAINING, State.MERGING, State.EVALUATING),
    State.FAILED: (State.PREPARING, State.FAILED),
    State.CANCELLED: (State.CANCELLED,),
}


@pytest.mark.parametrize("step", tuple(Step))
@pytest.mark.parametrize("attempt", (1, 3))
@pytest.mark.parametrize("state", (None, *WAYS))
def test_it_is_taken_in_by_the_ways_of_the_table(
    store: Store, tmp_path: Path, state: State | None, attempt: int, step: Step
) -> None:
    """Whatever the store thought of the job, or nothing; it has its devices while it trains."""
    if state is not None:
        job = store.add(NewJob("c", "run", devices=(0, 1)))
        for one in WAYS[state]:
            job = store.move(job, one)
    lives = found(tmp_path, attempt, step)
    job = take_in(lives, store)
    assert (job.id, job.name, job.attempt) == (1, "run", attempt)
    assert job.state is STATE_OF[step]
    assert store.locks() == ({} if step is Step.MERGE else {0: 1, 1: 1})
    assert is_accounted_for(job, lives, store.locks())


@pytest.mark.parametrize("step", tuple(Step))
def test_what_it_was_made_of_is_seen(store: Store, tmp_path: Path, step: Step) -> None:
    """What trains was dropped, also where its directory is gone; a plan that has nothing to train is a tree's."""
    lives = found(tmp_path, step=step)
    if step is Step.MERGE:
        lives.directory.path.mkdir(parents=True)
        merge = MergePlan(source=tmp_path / "tree", destination=lives.directory.merged)
        JobPlan(job=1, name="run", merge=merge).publish(lives.directory.plan)
    assert take_in(lives, store).source is (Source.TREE if step is Step.MERGE else Source.DROP)


@pytest.mark.parametrize("what", ("done", "another name", "a later attempt"))
def test_what_has_no_place_is_refused(store: Store, tmp_path: Path, what: str) -> None:
    """Its devices are kept by whoever asks, as long as it lives."""
    job = store.add(NewJob("c", "other" if what == "another name" else "run", devices=(0, 1)))
    job = store.move(job, State.MERGING, attempt=2 if what == "a later attempt" else 1)
    if what == "done":
        store.move(job, State.DONE)
    with pytest.raises(NotTakenInError):
        take_in(found(tmp_path), store)


def test_devices_of_another_job_are_not_taken(store: Store, tmp_path: Path) -> None:
    """By an older store that job may hold them still; it is tried again when they are free."""
    other = store.add(NewJob("other", "other", devices=(1,)))
    store.move(other, State.PREPARING)
    with pytest.raises(DeviceTakenError):
        take_in(found(tmp_path, job=2), store)


def test_a_history_that_is_left_is_gone_on_with(store: Store, tmp_path: Path) -> None:
    """Where only the row was deleted, the job is where it was."""
    job = store.add(NewJob("c", "run", devices=(0, 1)))
    for state in (State.PREPARING, State.TRAINING):
        job = store.move(job, state)
    store._connection.execute("PRAGMA foreign_keys=OFF")
    store._connection.execute("DELETE FROM jobs")
    assert take_in(found(tmp_path), store).state is State.TRAINING
    assert [step.state for step in store.history(1)] == [State.QUEUED, State.PREPARING, State.TRAINING]


def test_a_job_that_was_set_aside_with_its_devices_is_not_taken_in(store: Store, tmp_path: Path) -> None:
    """What glmd failed over would come back with every start."""
    job = store.move(store.add(NewJob("c", "run", devices=(0, 1))), State.PREPARING)
    job = store.move(job, State.FAILED, keep_devices=True)
    assert is_accounted_for(job, found(tmp_path), store.locks())
    store.free_devices(job)
    assert not is_accounted_for(job, found(tmp_path), store.locks())
