"""Promises of handlers.shards.readiness for ranks that leave replicas to each other: what they have together counts."""

from pathlib import Path

import pytest

from handlers.ckpt import InconsistentError
from handlers.ckpt.codes import Code
from handlers.merging.merge import run as merge
from handlers.records.merge_plan import MergePlan
from handlers.resume.point import Expected, newest_complete
from handlers.shards.readiness import NotReady
from handlers.shards.tree_tracker import TreeTracker
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run
from tests.unit.handlers.ckpt.redundancy import held, shard, write, write_shard

ROWS = "layers.0.query_key_value.weight"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two replicas of two slices; rank 0 or 1 writes each."""
    return write(small_run(tmp_path / "output", (2, 2)), lambda _name, _group: 0)


def reason(run: Run) -> str:
    """Return why the tree is not ready; empty where it is."""
    found = TreeTracker(run.source).look()
    return found.reason if isinstance(found, NotReady) else ""


def test_ranks_with_different_entries_are_ready_together(run: Run) -> None:
    """As each arrives: not before the last is there."""
    paths = [shard(run, rank) for rank in range(4)]
    contents = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    tracker = TreeTracker(run.source)
    tracker.look()
    for path, content in zip(paths, contents, strict=True):
        assert tracker.ready() is None
        path.write_bytes(content)
        path.chmod(0o400)
        tracker.noticed(path)
    assert tracker.ready() is not None
    assert reason(run) == ""
    assert newest_complete(run.source, Expected("glm-6b", 4, needs_strategy=True)) is not None


def test_a_slice_that_no_rank_has_is_waited_for(run: Run) -> None:
    """The reason names it; nor is it resumed from."""
    tensors = held(run, lambda _name, _group: 0)[1]
    write_shard(run, 1, {name: each for name, each in tensors.items() if name != ROWS})
    assert f"{ROWS}: no shard of ranks 1,3 has this slice" in reason(run)
    assert newest_complete(run.source, Expected("glm-6b", 4, needs_strategy=True)) is None


def test_a_name_that_no_rank_has_is_waited_for(run: Run) -> None:
    """The strategy has it."""
    for rank, tensors in held(run, lambda _name, _group: 0).items():
        write_shard(run, rank, {name: each for name, each in tensors.items() if name != ROWS})
    assert f"{ROWS}: it is in the strategy" in reason(run)


def test_ranks_of_two_runs_are_not_ready(run: Run) -> None:
    """Some leave out replicas, and some do not, though what they have may be the same."""
    write_shard(run, 3, held(run, lambda _name, _group: 0)[3], lacks=False)
    assert "are they of two runs?" in reason(run)


def test_without_a_strategy_the_number_of_ranks_has_to_be_said(tmp_path: Path) -> None:
    """Half of a data parallel run's files look like a smaller run's: the rest of the model would be lost silently."""
    run = small_run(tmp_path / "output", (2,))
    run.layouts.clear()
    write(run, lambda name, _group: sum(name.encode()) % 2)
    plan = MergePlan(source=run.source, destination=tmp_path / "merged", needs_strategy=False)
    with pytest.raises(InconsistentError, match=r"rank_0-31_4\.safetensors: .*2 were found: say how many") as refused:
        merge(plan)
    assert refused.value.code is Code.SHARDS_INCOMPLETE
    known = MergePlan(source=run.source, destination=tmp_path / "merged", needs_strategy=False, ranks=2)
    assert merge(known).entries_kept == 8
    shard(run, 1).unlink()
    with pytest.raises(InconsistentError, match="rank 1 has no shard"):
        merge(known)
