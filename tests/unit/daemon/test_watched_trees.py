"""Trees of foreign runs: merged once complete and quiet, once for the same shards."""

import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.root import Root
from daemon.settings import WatchSettings
from daemon.states import State
from daemon.store import Store
from daemon.watched_trees import WatchedTrees
from daemon.workers import Workers
from handlers.job_plan import JobPlan


def shard(directory: Path, rank: int, tag: str, age: float) -> None:
    """Write a whole shard that was closed `age` seconds ago."""
    path = directory / "checkpoint" / f"rank_{rank}" / f"glm_rank_{rank}-{tag}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    tensor = b"\x08\x01" + b"\x12\x07Float32" + b"\x1a\x04" + struct.pack("<f", 1.0)
    value = b"\x0a\x01w" + b"\x12" + bytes([len(tensor)]) + tensor
    path.write_bytes(b"\x0a" + bytes([len(value)]) + value)
    path.chmod(0o400)
    os.utime(path, (time.time() - age, time.time() - age))


class House:
    """A tree, a store, and turns of the loop over them."""

    def __init__(self, path: Path, quiet: float) -> None:
        self.tree = path / "tree"
        self.tree.mkdir()
        self.root = Root(path / "root")
        self.root.create()
        self.store = Store.open(self.root.store)
        self.woken = threading.Semaphore(0)
        self.workers = Workers(self.woken.release)
        settings = WatchSettings(path=self.tree, needs_strategy=False, ranks=2, quiet=quiet)
        self.trees = WatchedTrees([settings], self.root, self.store, self.workers)

    def look(self) -> None:
        """Give the trees a whole turn."""
        now = time.monotonic()
        self.trees.look_at_all(now)
        self.trees.turn(now)
        assert self.woken.acquire(timeout=10)
        self.workers.deliver()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return the house that a test works on."""
    house = House(tmp_path, quiet=60.0)
    yield house
    house.store.close()


def test_an_incomplete_tree_is_waited_for(house: House) -> None:
    """One rank of two is no checkpoint."""
    shard(house.tree, 0, "31_4", age=100)
    house.look()
    assert house.store.jobs() == ()


def test_a_complete_tree_becomes_one_job(house: House) -> None:
    """However often it is looked at; its plan says what to merge, and nothing is written into the tree."""
    for rank in (0, 1):
        shard(house.tree, rank, "31_4", age=100)
    for _ in range(3):
        house.look()
    (job,) = house.store.jobs()
    plan = JobPlan.read(job.directory(house.root.path).plan)
    assert (job.state, plan.train, plan.merge.tag, plan.merge.source) == (State.QUEUED, None, "31_4", house.tree)
    assert sorted(path.name for path in house.tree.iterdir()) == ["checkpoint"]


def test_a_tree_that_is_still_busy_is_looked_at_again_when_it_may_be_quiet(house: House) -> None:
    """With `tag: last` a newer tag may be on its way."""
    for rank in (0, 1):
        shard(house.tree, rank, "31_4", age=20)
    house.look()
    assert house.store.jobs() == ()
    due = house.trees.next_due(time.monotonic())
    assert due is not None
    assert 30 < due <= 40


def test_what_is_noticed_during_a_look_is_looked_at_afterwards(house: House) -> None:
    """The last shard of a run may arrive while the one before is being looked at."""
    now = time.monotonic()
    house.trees.notice(house.tree / "checkpoint", now)
    house.trees.turn(now)
    house.trees.notice(house.tree / "checkpoint", now)
    house.trees.turn(now)
    assert house.trees.next_due(now) is None, "while it is looked at, the loop does not spin"
    assert house.woken.acquire(timeout=10)
    for rank in (0, 1):
        shard(house.tree, rank, "31_4", age=100)
    house.workers.deliver()
    assert house.trees.next_due(now) == 0


def test_another_runs_shards_of_the_same_tag_are_merged_too(house: House) -> None:
    """The shards count, not the name of their tag."""
    for age in (200, 100):
        for rank in (0, 1):
            (house.tree / f"checkpoint/rank_{rank}/glm_rank_{rank}-31_4.ckpt").unlink(missing_ok=True)
            shard(house.tree, rank, "31_4", age)
        house.look()
    assert len(house.store.jobs()) == 2
