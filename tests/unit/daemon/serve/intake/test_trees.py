"""Trees of foreign runs: merged once complete and quiet, once for the same shards."""

import os
import struct
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from daemon.core.root import Root
from daemon.core.setting_sections import WatchSettings
from daemon.core.states import Source, State
from daemon.core.store import Store
from daemon.serve.intake import tree_follower
from daemon.serve.intake.source import Moment
from daemon.serve.intake.tree_follower import TreeFollower
from daemon.serve.intake.trees import WatchedTrees
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Here, Workers
from daemon.serve.watch.kind import Kind
from handlers.records.job_plan import JobPlan
from handlers.shards.tree_tracker import TreeTracker

Result = TypeVar("Result")


def shard(directory: Path, rank: int, tag: str, age: float) -> Path:
    """Write a whole shard that was closed `age` seconds ago."""
    path = directory / "checkpoint" / f"rank_{rank}" / f"glm_rank_{rank}-{tag}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    tensor = b"\x08\x01" + b"\x12\x07Float32" + b"\x1a\x04" + struct.pack("<f", 1.0)
    value = b"\x0a\x01w" + b"\x12" + bytes([len(tensor)]) + tensor
    path.write_bytes(b"\x0a" + bytes([len(value)]) + value)
    path.chmod(0o400)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


class Idle(Here):
    """Follows nothing until it is stopped: the tests do it themselves."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self, key: Hashable, work: Callable[[], Result], told: Callable[[object], None] | None = None) -> Result:
        """Wait."""
        del key, work, told
        self._stopped.wait()
        raise InterruptedError

    def stop(self, key: Hashable) -> None:
        """Wait no more."""
        del key
        self._stopped.set()


class House:
    """A tree, a store, and turns of the follower and the loop over them."""

    def __init__(self, path: Path, quiet: float) -> None:
        self.tree = path / "tree"
        self.tree.mkdir()
        self.root = Root(path / "root")
        self.root.create()
        self.store = Store.open(self.root.store)
        self.workers = Workers(lambda: None, elsewhere=Idle())
        self.settings = WatchSettings(path=self.tree, needs_strategy=False, ranks=2, quiet=quiet)
        self.watch(self.settings)

    def watch(self, settings: WatchSettings) -> None:
        """Begin to follow the tree."""
        self.follower = TreeFollower(settings)
        self.trees = WatchedTrees([settings], self.root, self.store, self.workers, Faults())

    def look(self) -> None:
        """Look at the whole tree."""
        self.follower.look_by(time.monotonic())
        self.turn()

    def turn(self) -> None:
        """Give the follower a turn, tell what it says, and give the loop's side its turn."""
        (tree,) = self.trees._trees
        if (seen := self.follower.turn(time.monotonic())) is not None:
            self.trees._reported(tree, seen)
        self.trees.turn(Moment.now())

    def close(self) -> None:
        """End it all."""
        self.trees.close()
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return the house that a test works on."""
    house = House(tmp_path, quiet=60.0)
    yield house
    house.close()


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
    assert job.source is Source.TREE
    assert sorted(path.name for path in house.tree.iterdir()) == ["checkpoint"]


def test_a_tree_that_is_still_busy_is_looked_at_again_when_it_may_be_quiet(house: House) -> None:
    """With `tag: last` a newer tag may be on its way."""
    for rank in (0, 1):
        shard(house.tree, rank, "31_4", age=20)
    house.look()
    assert house.store.jobs() == ()
    due = house.follower.next_due(time.monotonic())
    assert due is not None
    assert 30 < due <= 40


def test_another_runs_shards_of_the_same_tag_are_merged_too(house: House) -> None:
    """The shards count, not the name of their tag."""
    for age in (200, 100):
        for rank in (0, 1):
            (house.tree / f"checkpoint/rank_{rank}/glm_rank_{rank}-31_4.ckpt").unlink(missing_ok=True)
            shard(house.tree, rank, "31_4", age)
        house.look()
    assert len(house.store.jobs()) == 2


def test_a_hint_is_followed_without_a_look_at_the_whole_tree(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives costs its own work; the last shard's hint makes the job."""
    house.look()
    monkeypatch.setattr(TreeTracker, "look", lambda _: pytest.fail("it was looked at"))
    for rank in (0, 1):
        house.follower.notice(shard(house.tree, rank, "31_4", age=100), Kind.MOVED_IN, time.monotonic())
        assert house.follower.next_due(time.monotonic()) == 0
        house.turn()
    (job,) = house.store.jobs()
    assert JobPlan.read(job.directory(house.root.path).plan).merge.tag == "31_4"


def test_hints_are_followed_in_order(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory is made before what is in it."""
    house.look()
    told: list[int] = []
    monkeypatch.setattr(TreeTracker, "noticed", lambda _, path: told.append(int(path.name)))
    for number in range(5):
        house.follower.notice(house.tree / str(number), Kind.CREATED, time.monotonic())
    house.turn()
    assert told == list(range(5))


@pytest.mark.parametrize("is_looked_at", (False, True))
def test_the_tracker_is_told_of_closes(house: House, monkeypatch: pytest.MonkeyPatch, *, is_looked_at: bool) -> None:
    """A shard that was left writable counts by that; also when the whole tree is to be looked at anyway."""
    house.look()
    told: list[tuple[str, Path]] = []
    for name in ("noticed", "closed"):
        monkeypatch.setattr(TreeTracker, name, lambda _, path, name=name: told.append((name, path)))
    one, other = house.tree / "one", house.tree / "other"
    house.follower.notice(one, Kind.CREATED, time.monotonic())
    house.follower.notice(other, Kind.CLOSED, time.monotonic())
    if is_looked_at:
        house.follower.look_by(time.monotonic())
    house.turn()
    assert told == [("noticed", one), ("closed", other)]


def test_hints_that_fail_are_made_good_by_a_look(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind the one that failed are not lost."""
    house.look()
    for rank in (0, 1):
        house.follower.notice(shard(house.tree, rank, "31_4", age=100), Kind.MOVED_IN, time.monotonic())
    with monkeypatch.context() as patch:
        patch.setattr(TreeTracker, "noticed", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        house.turn()
    assert house.store.jobs() == ()
    assert house.follower.next_due(time.monotonic()) == 0
    house.turn()
    assert len(house.store.jobs()) == 1


def test_too_many_hints_become_one_look(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that hangs must not fill the memory."""
    house.look()
    monkeypatch.setattr(tree_follower, "MOST_HINTS", 5)
    for rank in (0, 1):
        shard(house.tree, rank, "31_4", age=100)
    monkeypatch.setattr(TreeTracker, "noticed", lambda *_: pytest.fail("a hint was kept"))
    for _ in range(6):
        house.follower.notice(house.tree / "checkpoint", Kind.CREATED, time.monotonic())
    house.turn()
    assert len(house.store.jobs()) == 1


def test_the_networks_shards_must_be_quiet_too(house: House) -> None:
    """They have the same names after each save: ranks that have not yet saved again would be mixed in."""
    settings = house.settings.model_copy(update={"tag": "network"})
    house.trees.close()
    house.watch(settings)
    for age, jobs in ((20, 0), (100, 1)):
        for rank in (0, 1):
            path = shard(house.tree, rank, "31_4", age)
            target = house.tree / "checkpoint_network" / f"rank_{rank}" / f"glm_rank_{rank}-network.ckpt"
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        house.look()
        assert len(house.store.jobs()) == jobs


def test_a_defect_met_in_a_tree_does_not_end_the_daemon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next daemon would meet it again: what is there was written by others."""
    with monkeypatch.context() as patch:
        patch.setattr(TreeTracker, "look", lambda _: {}["no such"])
        shard(house.tree, 0, "31_4", age=100)
        house.look()
    shard(house.tree, 1, "31_4", age=100)
    house.look()
    assert len(house.store.jobs()) == 1
