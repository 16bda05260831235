"""Promises of handlers.shards: the right tag, complete on all ranks, or a reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from handlers import shards
from handlers.ckpt import CkptFile, InconsistentError, UnsupportedLayoutError, walk
from handlers.errors import BadInputError
from handlers.shards import NotReady, Ready, Shard, Tag, Verdicts, choose, find_shards, find_strategies, readiness
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, ckpt, small_run, strategy


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


def reason(run: Run, *, needs_strategy: bool = True, ranks: int | None = None) -> str:
    """Say why a run is not ready."""
    found = readiness(run.source, Verdicts(), needs_strategy=needs_strategy, ranks=ranks)
    assert isinstance(found, NotReady)
    return found.reason


def test_names_are_taken_apart(run: Run) -> None:
    """Prefix, rank, bump and tag come from the name; whatever else lies there is ignored."""
    rank_0 = run.shard(0).parent
    bumped = rank_0 / "glm-6b_rank_0_1-9_4.ckpt"
    bumped.write_bytes(b"")
    for name in ("meta.json", "glm-6b_rank_0-graph.meta", "glm-6b_rank_0-31_4.ckpt.tmp", "other.ckpt"):
        (rank_0 / name).write_bytes(b"")
    (rank_0 / "glm-6b_rank_0-7_7.ckpt").mkdir()
    (run.source / "checkpoint" / "rank_x").mkdir()
    found = find_shards(run.source)
    assert found[:2] == (
        Shard(run.shard(0), "glm-6b", 0, 0, Tag(31, 4)),
        Shard(bumped, "glm-6b", 0, 1, Tag(9, 4)),
    )
    assert [shard.rank for shard in found] == [0, 0, 1, 2, 3]


def test_the_checkpoint_directory_itself_is_a_source(run: Run) -> None:
    """The output root or its `checkpoint/`, both are taken, with the strategy beside it."""
    inner = run.source / "checkpoint"
    assert find_shards(inner) == find_shards(run.source)
    assert find_strategies(inner) == find_strategies(run.source) == (run.strategy,)


def test_a_shard_in_another_ranks_directory_is_refused(run: Run) -> None:
    """A misplaced file is not merged as the rank whose directory it is in."""
    run.shard(1).rename(run.shard(0).parent / run.shard(1).name)
    with pytest.raises(InconsistentError, match="is named for rank 1 but lies in rank 0's directory"):
        find_shards(run.source)


def test_tags_are_ordered_by_number(run: Run) -> None:
    """9_4 came before 31_4, though its name sorts behind."""
    run.write("9_4")
    assert choose(run.source).tag == Tag(31, 4)
    assert choose(run.source, tag="9_4").tag == Tag(9, 4)


def test_an_explicit_tag_needs_all_ranks(run: Run) -> None:
    """A rank that lacks the tag is named, and its older shard not taken."""
    run.write("9_4")
    run.shard(1).unlink()
    with pytest.raises(InconsistentError, match=r"rank 1 has no shard of tag 31_4 \(of 4 ranks\)"):
        choose(run.source, tag="31_4")


def test_last_is_refused_where_ranks_disagree(run: Run) -> None:
    """Neither mixed steps nor silently an older tag: who has what is said."""
    run.write("9_4")
    run.shard(1).unlink()
    with pytest.raises(InconsistentError, match="rank 1: 9_4; ranks 0, 2, 3: 31_4"):
        choose(run.source)


@pytest.mark.parametrize("tag", ("31", "31-4", "", "LAST", "31_4_1", "٣_4"))
def test_a_malformed_tag_is_bad_input(run: Run, tag: str) -> None:
    """The message shows how a tag looks."""
    with pytest.raises(BadInputError, match="EPOCH_STEP"):
        choose(run.source, tag=tag)


def test_a_bumped_run_is_the_newer_one(run: Run) -> None:
    """`_1` in the name is of a later run than none, though its tag is lower; ranks may differ in it."""
    for rank in range(4):
        name = f"glm-6b_rank_{rank}_{2 if rank == 0 else 1}-5_4.ckpt"
        (run.shard(rank).parent / name).write_bytes(run.shard(rank).read_bytes())
    chosen = choose(run.source)
    assert chosen.tag == Tag(5, 4)
    assert [shard.bump for shard in chosen.shards] == [2, 1, 1, 1]


def test_a_tag_of_two_runs_that_cannot_be_told_apart_is_refused(run: Run) -> None:
    """Where one rank has the tag twice and others once, which belong together is not guessed."""
    (run.shard(2).parent / "glm-6b_rank_2_1-31_4.ckpt").write_bytes(run.shard(2).read_bytes())
    with pytest.raises(InconsistentError, match="saved by more than one run"):
        choose(run.source, tag="31_4")


def test_several_prefixes_need_a_choice(run: Run) -> None:
    """Two models in one tree are never mixed."""
    (run.shard(0).parent / "glm-6b-lora_rank_0-31_4.ckpt").write_bytes(b"")
    with pytest.raises(InconsistentError, match="several prefixes"):
        choose(run.source)
    assert choose(run.source, prefix="glm-6b").prefix == "glm-6b"


def test_ranks_beyond_the_strategy_are_refused(run: Run) -> None:
    """One pipeline stage's strategy does not describe the ranks of the others."""
    run.strategy.write_bytes(strategy({name: Lay((2,), lay.tensor_map) for name, lay in run.layouts.items()}))
    with pytest.raises(InconsistentError, match="ranks 2, 3 have a shard of tag 31_4 too, but 2 ranks are spoken of"):
        choose(run.source)
    with pytest.raises(InconsistentError, match="speaks of 2 ranks, but the run has 4"):
        choose(run.source, ranks=4)


def test_an_empty_tree_is_refused(tmp_path: Path) -> None:
    """No shard, no merge."""
    with pytest.raises(InconsistentError, match="has no rank_N"):
        choose(tmp_path)


def test_a_complete_tree_is_ready(run: Run) -> None:
    """All shards whole, of one set of entries, with their strategy."""
    assert readiness(run.source, Verdicts()) == Ready("glm-6b", Tag(31, 4), choose(run.source).shards)


def test_a_shard_that_grows_is_not_ready(run: Run) -> None:
    """Cut inside a record or between two, a shard does not count."""
    whole = run.shard(2).read_bytes()
    run.write_shard(2, whole[:-1])
    assert "rank_2-31_4.ckpt" in reason(run)
    end = walk(run.write_shard(2, whole)).entries["scale_sense"].extents[0]
    run.write_shard(2, whole[: end.offset + end.length])
    assert "rank_2-31_4.ckpt has other entries than" in reason(run)


def test_shards_that_lack_the_same_entries_are_not_ready(run: Run) -> None:
    """All ranks cut at the same place: the strategy tells."""
    for rank in range(4):
        slices = run.slices(rank)
        del slices["layers.0.layernorm.gamma"]
        run.write_shard(rank, ckpt(slices))
    assert "layers.0.layernorm.gamma: it is in the strategy" in reason(run)


def test_a_shard_still_open_is_not_ready(run: Run) -> None:
    """Writable and written just now: the training may not be done with it; at rest, it counts."""
    run.shard(3).chmod(0o600)
    os.utime(run.shard(3))
    assert "may still be open" in reason(run)
    os.utime(run.shard(3), (1.0, 1.0))
    assert isinstance(readiness(run.source, Verdicts()), Ready)


def test_without_its_strategy_file_a_run_is_not_ready(run: Run) -> None:
    """Unless it is data parallel, which writes none."""
    run.strategy.unlink()
    assert "has no ckpt_strategy_rank_N.ckpt" in reason(run)
    assert isinstance(readiness(run.source, Verdicts(), needs_strategy=False, ranks=4), Ready)


def test_data_parallel_ranks_are_counted(run: Run) -> None:
    """Of a known number of ranks, all must be there."""
    assert "ranks 4, 5 have no shard with prefix glm-6b (of 6 ranks)" in reason(run, needs_strategy=False, ranks=6)


def test_what_waiting_does_not_mend_is_raised(run: Run) -> None:
    """Pipeline stages stay pipeline stages."""
    run.strategy.write_bytes(strategy(run.layouts, stages=(0, 1)))
    with pytest.raises(UnsupportedLayoutError, match="pipeline"):
        readiness(run.source, Verdicts())


def test_no_shard_is_read_twice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at a tree reads the new shards and, of the complete tag, one more; not all of them again."""
    walked: list[Path] = []

    def counted(path: Path) -> CkptFile:
        walked.append(path)
        return walk(path)

    monkeypatch.setattr(shards, "walk", counted)
    verdicts = Verdicts()
    readiness(run.source, verdicts)
    assert sorted(set(walked)) == [run.shard(rank) for rank in range(4)]
    walked.clear()
    run.write_shard(1, run.shard(1).read_bytes())
    readiness(run.source, verdicts)
    assert set(walked) == {run.shard(0), run.shard(1)}
    run.shard(2).unlink()
    verdicts.forget_missing()
    assert run.shard(2) not in verdicts._known


def test_the_daemon_gets_no_numpy_with_it() -> None:
    """The daemon imports this module, and must stay small."""
    script = "import handlers.shards, sys; sys.exit('numpy' in sys.modules or 'google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
