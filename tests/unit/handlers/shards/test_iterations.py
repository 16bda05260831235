"""Promises of handlers.shards.iterations: a save counts when the tracker vouches for it, and is taken as it is."""

import json
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import CkptError, DamagedFileError, InconsistentError
from handlers.ckpt.codes import Code
from handlers.merging.merge import run as merge
from handlers.records.merge_plan import MergePlan
from handlers.shards.iterations import choose_iteration, wants_iteration
from handlers.shards.names import TRACKER
from handlers.shards.readiness import NotReady, Ready
from handlers.shards.tree_tracker import TreeTracker
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, small_run
from tests.unit.handlers.ckpt.iterations import write


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two ranks that have saved iterations 4 and 8."""
    run = Run(tmp_path / "output", 2, prefix="glm4")
    run.tensors = {"w": np.arange(8, dtype="float32").reshape(4, 2), "global_step": np.array([8], "int32")}
    run.layouts = {"w": Lay((2,), (0, -1)), "global_step": Lay((2,), (-1,))}
    write(run, 4)
    write(run, 8)
    return run


def tracker_of(run: Run) -> Path:
    """Where the tracker lies."""
    return run.source / "checkpoint" / TRACKER


def reason(run: Run, tag: str = "last") -> str:
    """Return why the tree is not ready; empty where it is."""
    found = TreeTracker(run.source, tag=tag).look()
    return found.reason if isinstance(found, NotReady) else ""


def test_the_save_that_the_tracker_names_is_the_newest(run: Run) -> None:
    """By the tree, by its checkpoint/, by the save itself; an earlier one by its tag."""
    for source in (run.source, run.source / "checkpoint", run.source / "checkpoint" / "iteration_00000008"):
        chosen = choose_iteration(source)
        assert (chosen.prefix, str(chosen.tag), chosen.directory.name) == ("glm4", *["iteration_00000008"] * 2)
    assert str(choose_iteration(run.source, "iteration_00000004").tag) == "iteration_00000004"
    assert reason(run) == reason(run, "iteration_00000004") == ""


def test_a_save_that_is_not_finished_is_not_taken(run: Run) -> None:
    """The tracker still names the one before, also where all files of the newer one seem to be there."""
    tracker_of(run).write_text("4")
    assert str(choose_iteration(run.source).tag) == "iteration_00000004"
    for source, tag in ((run.source, "iteration_00000008"), (run.source / "checkpoint" / "iteration_00000008", "last")):
        with pytest.raises(InconsistentError, match=r"iteration_00000008: .*names iteration_00000004 as the last one"):
            choose_iteration(source, tag)
    assert "names iteration_00000004" in reason(run, "iteration_00000008")


@pytest.mark.parametrize("content", ("", " \n", "x", "8x", "-8", "1e3", "8" * 10, "٨", "\0" * 8))
def test_a_half_written_tracker_is_refused(run: Run, content: str) -> None:
    """It is not written atomically: empty for a moment, or cut off."""
    tracker_of(run).write_text(content)
    with pytest.raises(DamagedFileError, match=f"{TRACKER}: it says .*, which is no iteration"):
        choose_iteration(run.source)
    assert "which is no iteration" in reason(run)


def test_a_tracker_ahead_of_its_files_is_refused(run: Run) -> None:
    """It names what is not there, or not all there: a save that is written again is removed first."""
    tracker_of(run).write_text("12")
    with pytest.raises(InconsistentError, match="iteration_00000012 is not there, though"):
        choose_iteration(run.source)
    assert "iteration_00000012 is not there" in reason(run)
    tracker_of(run).write_text("8")
    (run.source / "checkpoint" / "iteration_00000008" / "glm4-model-0000001-0000002.safetensors").unlink()
    assert "glm4-model-0000001-0000002.safetensors is not there, though" in reason(run)
    plan = MergePlan(source=run.source, destination=run.source / "merged")
    with pytest.raises(InconsistentError, match=r"glm4-model-0000001-0000002\.safetensors is not there, though"):
        merge(plan)
    (run.source / "checkpoint" / "iteration_00000008" / "metadata.json").unlink()
    assert "metadata.json is not there: is the save still being written" in reason(run)


def test_without_a_tracker_no_save_is_known_to_be_complete(run: Run) -> None:
    """But a save that was copied elsewhere by itself is taken by its own name."""
    tracker_of(run).unlink()
    with pytest.raises(InconsistentError, match=f"{TRACKER} is not there: no save"):
        choose_iteration(run.source)
    assert choose_iteration(run.source / "checkpoint" / "iteration_00000008").prefix == "glm4"


@pytest.mark.parametrize(("status", "healthy"), ((None, True), (0, True), (1, False), ("x", False)))
def test_an_unhealthy_save_is_not_the_newest(run: Run, status: object, *, healthy: bool) -> None:
    """common.json says so; by its tag it is merged all the same."""
    directory = run.source / "checkpoint" / "iteration_00000008"
    common = directory / "common.json"
    common.write_text(json.dumps(json.loads(common.read_text()) | {"ckpt_status": status}))
    assert choose_iteration(run.source, "iteration_00000008").directory == directory
    if healthy:
        assert choose_iteration(run.source).directory == directory
        return
    with pytest.raises(InconsistentError, match="says that this save is unhealthy") as refused:
        choose_iteration(run.source)
    assert refused.value.code is Code.UNHEALTHY
    assert "unhealthy" in reason(run)


@pytest.mark.parametrize("content", (None, "", "[]", "{"))
def test_a_save_without_common_json_is_not_the_newest(run: Run, content: str | None) -> None:
    """Whether it is healthy nobody knows then."""
    common = run.source / "checkpoint" / "iteration_00000008" / "common.json"
    common.unlink()
    if content is not None:
        common.write_text(content)
    with pytest.raises(CkptError, match=r"common\.json"):
        choose_iteration(run.source)


def test_prefixes_are_told_apart(run: Run) -> None:
    """One save has one."""
    with pytest.raises(InconsistentError, match="has no other-model-NUMBER"):
        choose_iteration(run.source, prefix="other")
    directory = run.source / "checkpoint" / "iteration_00000008"
    (directory / "model-0000000-0000002.safetensors").write_bytes(b"")
    with pytest.raises(InconsistentError, match="has files of several prefixes"):
        choose_iteration(run.source)


def test_a_tree_with_saves_of_both_formats_leaves_the_newest_open(run: Run) -> None:
    """Each by its tag."""
    other = small_run(run.source).write()
    with pytest.raises(InconsistentError, match="holds both rank_N/ and saves in MindFormers' new format"):
        wants_iteration(run.source)
    assert "holds both" in reason(run)
    assert wants_iteration(run.source, "iteration_00000008")
    assert not wants_iteration(other.source, "31_4")
    assert reason(run, "31_4") == reason(run, "iteration_00000008") == ""


def test_a_tree_is_followed_by_its_tracker(tmp_path: Path, run: Run) -> None:
    """Ready when it names a save, not while its files come; the files are what is ready."""
    tracker = TreeTracker(run.source)
    assert isinstance(tracker.look(), Ready)
    tracker_of(run).write_text("8")
    moved = (run.source / "checkpoint" / "iteration_00000008").rename(tmp_path / "iteration_00000012")
    moved = moved.rename(run.source / "checkpoint" / "iteration_00000012")
    for path in sorted(moved.iterdir()):
        tracker.noticed(path)
        assert tracker.ready() is None
    tracker_of(run).write_text("12")
    tracker.noticed(tracker_of(run))
    ready = tracker.ready()
    assert ready is not None
    assert (str(ready.tag), ready.prefix) == ("iteration_00000012", "glm4")
    assert [shard.path for shard in ready.shards] == sorted(moved.glob("*.safetensors"))
    assert "describes 2 ranks, not 4" in str(TreeTracker(run.source, ranks=4).look())


def test_a_merge_takes_what_the_tracker_names(run: Run) -> None:
    """And says so; strategy files have no part in it, and the ranks are held against what is expected."""
    plan = MergePlan(source=run.source, destination=run.source / "merged", ranks=2, stages=1)
    done = merge(plan)
    assert (done.prefix, done.tag, done.ranks, done.stages) == ("glm4", "iteration_00000008", 2, 1)
    assert (done.entries_in, done.entries_kept, done.unlaid, done.cautions) == (2, 2, 0, ())
    other = MergePlan(source=run.source, destination=run.source / "other", ranks=4)
    with pytest.raises(InconsistentError, match="describes 2 ranks, but the run has 4"):
        merge(other)
    cut = MergePlan(source=run.source, destination=run.source / "other", stages=2)
    with pytest.raises(InconsistentError, match="describes 1 pipeline stages, but the run has 2"):
        merge(cut)
    laid = MergePlan(source=run.source, destination=run.source / "other", strategy=run.strategy)
    with pytest.raises(InconsistentError, match="says itself how everything is cut"):
        merge(laid)
