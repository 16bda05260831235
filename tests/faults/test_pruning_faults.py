"""Whatever call fails while files are removed: nothing half-deleted counts, and the removal goes on when it passes."""

import errno
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from daemon.core.prunings import Pruning
from daemon.core.request import Pending, Reply, Request, RequestRefusedError
from daemon.core.states import State
from daemon.core.store import Store
from daemon.core.users import User
from daemon.serve.jobs import pruning
from handlers.codes import Code
from handlers.merging.latest import whole
from handlers.retention import trash
from handlers.retention.part import Part
from tests import past_jobs
from tests.faults.injection import NUMBERS, Call, Injection
from tests.faults.test_daemon_faults import named
from tests.faults.world import World
from tests.unit.handlers.ckpt.ckpt_writer import record

MADE = (Call.OPEN, Call.WRITE, Call.FSYNC, Call.RENAME, Call.UNLINK, Call.MKDIR, Call.COMMIT, Call.COMMITTED)
"""What pruning does."""
REMOVING = (Call.FSYNC, Call.RENAME, Call.UNLINK)
CASES = [
    *((call, NUMBERS[call][0], 1) for call in MADE),
    *((call, number, 4) for call in REMOVING for number in (errno.ENOSPC, errno.EACCES)),
]
"""What fails, how, and how often on end."""
DONE, FAILED = 1, 2
GOING = {(DONE, Part.SHARDS), (DONE, Part.MERGED), (FAILED, Part.SHARDS)}
SHARD = record("lm_head.weight", (2,), "Float32", bytes(8))


class Pruned(World):
    """A root of which the shards of two jobs are to go, and an output."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch, *, cycle: str = "") -> None:
        super().__init__(path, patch)
        keep = {"last": 1, "daily": 0, "weekly": 0, "monthly": 0, "best": 0, "rollback": 0}
        said = self.settings.model_dump() | {"retention": {"keep": keep, "shards": {"failed": "1h"}}}
        self.settings = type(self.settings).model_validate(said)
        self.clock = past_jobs.later
        with Store.open(self.root.store) as store:
            past_jobs.add_done(self.root, store, {"1_4": SHARD}, cycle=cycle)
            past_jobs.add_failed(self.root, store, {"1_4": SHARD, "2_4": SHARD}, cycle=cycle)
            past_jobs.add_failed(self.root, store, {"1_4": SHARD}, cycle=cycle)
            past_jobs.add_done(self.root, store, {"1_4": SHARD}, cycle=cycle)
        self._is_asked = bool(cycle)

    def is_pruned(self) -> bool:
        """Ask, again where that was refused, until all is gone; nothing half there may count meanwhile."""
        assert past_jobs.half_outputs(self.root) == []
        assert whole(self.root.latest / past_jobs.PREFIX, past_jobs.PREFIX)
        begun = self.begun()
        if any(one.job == FAILED and one.ended is None for one in begun):
            with pytest.raises(RequestRefusedError, match="are being removed") as refused:
                self.answer("retry", FAILED)
            assert refused.value.code == Code.JOB_BEING_PRUNED
        if any(one.part is Part.MERGED for one in begun):
            with pytest.raises(RequestRefusedError) as refused:
                self.answer("promote", DONE)
            assert refused.value.code == Code.PROMOTION_GONE
        if not self._is_asked:
            self._is_asked = True
            asked = self.answer("prune")
            assert isinstance(asked, Pending)
            asked.then(self._take)
        return {(one.job, one.part) for one in begun} == GOING and all(one.ended for one in begun)

    def begun(self) -> list[Pruning]:
        """Return what was removed, or is being removed."""
        return [one for job in self.store.jobs() for one in self.store.prunings_of(job)]

    def answer(self, action: str, job: int | None = None) -> str | Pending:
        """Ask for it as the daemon's own user."""
        return self.service.answer(Request(action, job), User.of_this_process())

    def _take(self, reply: Reply) -> None:
        self._is_asked = reply.ok

    def of(self, number: int, pattern: str) -> list[str]:
        """Return which files a job has."""
        (directory,) = self.root.jobs.glob(f"{number:04d}-*")
        return sorted(path.name for path in directory.glob(pattern))


def run(path: Path, injection: Injection, cycle: str = "") -> None:
    """Ask for it, or let glmd do it by itself after runs of a cycle; let the fault come, and look at the end."""
    with pytest.MonkeyPatch.context() as patch:
        world = Pruned(path, patch, cycle=cycle)
        injection.install(patch)
        with world:
            injection.is_armed = True
            world.turn_until(tolerant(world.is_pruned), "all to be removed")
            injection.is_armed = False
            assert not (world.root.jobs / trash.NAME).exists()
            shards = "output/checkpoint/*/*.ckpt"
            assert [len(world.of(number, shards)) for number in (1, 2, 3, 4)] == [0, 0, 2, 2]
            assert [len(world.of(number, "merged/*")) for number in (1, 4)] == [0, 2]
            assert world.of(DONE, "manifest.json")
            world.agrees()
            assert "queued again" in str(world.answer("retry", FAILED)), "what is gone is no longer to be merged"
            assert world.store.job(FAILED).state is State.QUEUED
    shutil.rmtree(path)


def sweep(quick: Path, injection: Callable[[int, Path], Injection], times: int, cycle: str = "") -> None:
    """Let the first call fail, the second, … until none is left to fail; or some on end, which last a while."""
    for first in count(1, times):
        path = quick / str(first)
        path.mkdir()
        one = injection(first, path / "root")
        run(path, one, cycle)
        if not one.fired:
            break
    assert first > 1, "the fault hit nothing: the injection is not where the calls are"


def tolerant(condition: Callable[[], bool]) -> Callable[[], bool]:
    """Let a fault that is injected not end the test itself, which reads the same files."""

    def hold() -> bool:
        try:
            return condition()
        except OSError:
            return False

    return hold


IDS = [f"{call}-{named(number)}-{times}" for call, number, times in CASES]


@pytest.mark.parametrize(("call", "number", "times"), CASES, ids=IDS)
def test_it_goes_on_when_the_fault_passes(quick: Path, call: Call, number: int, times: int) -> None:
    """Retry and promotion are refused meanwhile, and the whole of what was asked for is done in the end."""
    sweep(quick, lambda first, below: Injection(call, number, first, below, times), times)


@pytest.mark.parametrize("call", (Call.OPEN, Call.COMMIT))
def test_so_it_does_by_itself(quick: Path, call: Call) -> None:
    """Nobody asks, and nobody waits for ten minutes either: what failed is tried again soon."""
    sweep(quick, lambda first, below: Injection(call, NUMBERS[call][0], first, below, 6), 6, cycle="sft")


def test_what_is_noted_is_removed_at_once(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop does not go to sleep between the note and the removal."""
    with Pruned(quick, monkeypatch, cycle="sft") as world:
        while not world.store.unended_prunings():
            world.waiting.wait(min(1.0, world.service._due - time.monotonic()))
            world.service.turn()
        assert world.service._pruner._is_at_work or world.service._due <= time.monotonic()


def test_what_changed_since_it_was_noted_stays(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has put a link in the way of the removal: it is given up, and a retry may merge what is left."""
    with Pruned(quick, monkeypatch) as world:
        failed = world.store.job(FAILED)
        world.store.begin_pruning(failed, Pruning(FAILED, Part.SHARDS, 1, "to be removed", datetime.now(UTC)))
        (ranks,) = (failed.directory(world.root.path).output / "checkpoint").glob("rank_1")
        ranks.rename(quick / "elsewhere")
        ranks.symlink_to(quick / "elsewhere")
        world.turn_until(lambda: not world.store.unended_prunings(), "it to be given up")
        assert world.store.prunings_of(failed) == ()
        assert len([*(quick / "elsewhere").iterdir()]) == 2
        assert len(world.of(FAILED, "output/checkpoint/rank_0/*")) == 2
        assert "merges again" in str(world.answer("retry", FAILED))


def test_records_beside_which_something_has_come_stay(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not said to be gone: nobody would look at that directory again."""
    with Pruned(quick, monkeypatch) as world:
        failed = world.store.job(FAILED)
        world.store.begin_pruning(failed, Pruning(FAILED, Part.RECORDS, 1, "to be removed", datetime.now(UTC)))
        world.turn_until(lambda: not world.store.unended_prunings(), "it to be given up")
        assert world.store.prunings_of(failed) == ()
        assert len(world.of(FAILED, "output/checkpoint/*/*.ckpt")) == 4


def test_what_a_file_names_that_has_come_since_stays(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the parts of a plan are removed one after the other, a dropped file is taken, and is no job yet."""
    monkeypatch.setattr(pruning, "DROPS_WITHIN", 0.0)
    with Pruned(quick, monkeypatch) as world:
        world.turn_until(lambda: not world.is_pruned() and bool(world.begun()), "the first removal to begin")
        claim = world.root.claims / ("a" * 16)
        claim.mkdir()
        (claim / "more.yaml").write_text(
            f"continue_from: {world.store.job(FAILED).directory(world.root.path).output}\n"
        )
        pruner = world.service._pruner
        at_rest = lambda: not (world.store.unended_prunings() or pruner._going or pruner._asked or pruner._is_at_work)  # noqa: E731
        world.turn_until(at_rest, "all to be removed but that")
        assert {(one.job, one.part) for one in world.begun()} == GOING - {(FAILED, Part.SHARDS)}
        assert len(world.of(FAILED, "output/checkpoint/*/*.ckpt")) == 4
