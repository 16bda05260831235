"""Promises of handlers.shards.choice: the right tag, of each rank the right shard, or a refusal."""

import subprocess
import sys
from pathlib import Path

import pytest

from handlers.ckpt import InconsistentError
from handlers.errors import BadInputError
from handlers.shards.choice import choose
from handlers.shards.names import Tag
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, small_run, strategy


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


def beside(run: Run, rank: int, name: str) -> Path:
    """Copy a rank's shard under another name, with `N` for the rank."""
    path = run.shard(rank).with_name(name.replace("N", str(rank)))
    path.write_bytes(run.shard(rank).read_bytes())
    return path


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


def test_a_malformed_tag_is_bad_input(run: Run) -> None:
    """Nothing is guessed from it."""
    with pytest.raises(BadInputError, match="EPOCH_STEP"):
        choose(run.source, tag="latest")


def test_a_bumped_run_is_the_newer_one(run: Run) -> None:
    """`_1` in the name is of a later run than none, though its tag is lower; ranks may differ in it."""
    for rank in range(4):
        beside(run, rank, f"glm-6b_rank_N_{2 if rank == 0 else 1}-5_4.ckpt")
    chosen = choose(run.source)
    assert chosen.tag == Tag(5, 4)
    assert [shard.bump for shard in chosen.shards] == [2, 1, 1, 1]


def test_a_tag_of_two_runs_that_cannot_be_told_apart_is_refused(run: Run) -> None:
    """Where one rank has the tag twice and others once, which belong together is not guessed."""
    beside(run, 2, "glm-6b_rank_N_1-31_4.ckpt")
    with pytest.raises(InconsistentError, match="saved by more than one run"):
        choose(run.source, tag="31_4")


def test_a_tag_that_two_runs_saved_on_all_ranks_is_the_later_runs(run: Run) -> None:
    """Each run's shards belong together."""
    for rank in range(4):
        beside(run, rank, "glm-6b_rank_N_1-31_4.ckpt")
    assert {shard.bump for shard in choose(run.source, tag="31_4").shards} == {1}


@pytest.mark.parametrize("ranks", (range(2, 3), range(4)))
def test_a_rank_with_both_formats_of_a_tag_is_refused(run: Run, ranks: range) -> None:
    """Which of the two counts is not guessed; another tag is not concerned."""
    run.write("32_4")
    for rank in ranks:
        beside(run, rank, "glm-6b_rank_N-31_4.safetensors")
    with pytest.raises(InconsistentError, match=f"rank {ranks[0]} has tag 31_4 twice .*31_4.ckpt, .*31_4.safetensors"):
        choose(run.source, tag="31_4")
    assert choose(run.source).tag == Tag(32, 4)


def test_ranks_of_two_formats_are_refused(run: Run) -> None:
    """A run writes one format."""
    beside(run, 1, "glm-6b_rank_N-31_4.safetensors")
    run.shard(1).unlink()
    with pytest.raises(InconsistentError, match=r"31_4\.safetensors is safetensors, but .*31_4\.ckpt is ckpt"):
        choose(run.source)


def test_several_prefixes_need_a_choice(run: Run) -> None:
    """Two models in one tree are never mixed."""
    beside(run, 0, "glm-6b-lora_rank_N-31_4.ckpt")
    with pytest.raises(InconsistentError, match="several prefixes"):
        choose(run.source)
    assert choose(run.source, prefix="glm-6b").prefix == "glm-6b"


def test_ranks_beyond_the_strategy_are_refused(run: Run) -> None:
    """One pipeline stage's strategy does not describe the ranks of the others."""
    run.strategy.write_bytes(strategy({name: Lay((2,), lay.tensor_map) for name, lay in run.layouts.items()}))
    with pytest.raises(
        InconsistentError, match="ranks 2, 3 have a shard of tag 31_4 too, but only 2 ranks are described"
    ):
        choose(run.source)
    with pytest.raises(InconsistentError, match="describes 2 ranks, but the run has 4"):
        choose(run.source, ranks=4)


def test_an_empty_tree_is_refused(tmp_path: Path) -> None:
    """No shard, no merge."""
    with pytest.raises(InconsistentError, match="has no rank_N"):
        choose(tmp_path)


def test_the_network_is_not_taken_for_a_checkpoint(run: Run) -> None:
    """Where a tree has the weights alone, the message says how to ask for them."""
    (run.source / "checkpoint").rename(run.source / "checkpoint_network")
    for rank in range(4):
        path = run.source / "checkpoint_network" / f"rank_{rank}" / run.shard(rank).name
        path.rename(path.with_name(f"glm-6b_rank_{rank}-network.ckpt"))
    with pytest.raises(InconsistentError, match="name the tag `network`"):
        choose(run.source)
    assert [shard.rank for shard in choose(run.source, tag="network").shards] == [0, 1, 2, 3]
    assert choose(run.source / "checkpoint_network").shards == choose(run.source, tag="network").shards


@pytest.mark.parametrize(
    ("directory", "part"), (("checkpoint_network", "network"), ("checkpoint_trainable", "trainable_params"))
)
def test_a_part_that_is_saved_with_its_time_has_a_newest(run: Run, directory: str, part: str) -> None:
    """MindFormers 1.6 and later: the bare name is the newest that all ranks have, and each can be named."""
    for rank in range(4):
        for tag in ("9_4", "31_4"):
            path = run.source / directory / f"rank_{rank}" / f"glm-6b_rank_{rank}-{part}-{tag}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    assert str(choose(run.source, tag=part).tag) == f"{part}-31_4"
    assert {shard.path.parent.parent.name for shard in choose(run.source, tag=f"{part}-9_4").shards} == {directory}
    assert str(choose(run.source).tag) == "31_4"
    (run.source / directory / "rank_2" / f"glm-6b_rank_2-{part}-31_4.safetensors").unlink()
    with pytest.raises(InconsistentError, match=f"ranks disagree on their newest tag: rank 2: {part}-9_4"):
        choose(run.source, tag=part)
    with pytest.raises(InconsistentError, match=rf"has no rank_N/PREFIX_rank_N-{part}-7_7\.ckpt, nor has its"):
        choose(run.strategy.parent, tag=f"{part}-7_7")


def test_what_lies_beside_shards_of_today_is_no_shard(run: Run) -> None:
    """meta.json says nothing that names do not, not even a later save; a name that ends in .tmp is being written."""
    for rank in range(4):
        path = run.shard(rank).rename(run.shard(rank).with_suffix(".safetensors"))
        path.with_name("meta.json").write_text('{"last_epoch": 99, "last_step": 4, "last_ckpt_file": "x"}')
        path.with_name(f"{path.name.replace('31_4', '32_4')}.tmp").write_bytes(b"")
    assert [shard.path.name for shard in choose(run.source).shards] == [
        f"glm-6b_rank_{rank}-31_4.safetensors" for rank in range(4)
    ]


def test_one_stages_strategy_is_refused_though_the_other_stage_left_no_shards(run: Run) -> None:
    """Its file speaks of its own ranks alone; that a rank beyond them wrote one too tells that they are not all."""
    other = run.strategy.with_name("ckpt_strategy_rank_4.ckpt")
    assert len(choose(run.source, strategy=run.strategy).shards) == 4
    other.write_bytes(run.strategy.read_bytes())
    with pytest.raises(InconsistentError, match=r"describes 4 ranks, but beside it lies ckpt_strategy_rank_4\.ckpt"):
        choose(run.source, strategy=run.strategy)


def test_nor_does_it_matter_where_and_under_which_name_the_other_stage_s_strategy_lies(run: Run) -> None:
    """In the run's own strategy/, of which one was copied away; and with the rank in its name twice."""
    copied = run.source.parent / "mine.ckpt"
    copied.write_bytes(run.strategy.read_bytes())
    assert len(choose(run.source, strategy=copied).shards) == 4
    other = run.strategy.with_name("ckpt_strategy_rank_4_rank_4.ckpt")
    other.write_bytes(run.strategy.read_bytes())
    for given in (run.strategy, copied):
        with pytest.raises(InconsistentError, match=r"describes 4 ranks, but .*ckpt_strategy_rank_4_rank_4\.ckpt"):
            choose(run.source, strategy=given)


@pytest.mark.parametrize("ranks", (None, 4, 8))
def test_fewer_stages_than_the_run_has_are_refused_by_name(run: Run, ranks: int | None) -> None:
    """A job of glmd's knows how many there are; also where another run's strategy has as many ranks in one stage."""
    assert choose(run.source, stages=1).tag == Tag(31, 4)
    with pytest.raises(
        InconsistentError, match="the run has 2 pipeline stages, but no strategy file describes stage 1"
    ):
        choose(run.source, ranks=ranks, stages=2)
    with pytest.raises(InconsistentError, match=r"the run has 9 pipeline stages, .* stage 1, 2, 3, 4, 5, …"):
        choose(run.source, ranks=ranks, stages=9)


def test_more_stages_than_the_run_has_are_refused(run: Run) -> None:
    """They are another run's."""
    names = {name: Lay((2,), lay.tensor_map) for name, lay in run.layouts.items()}
    for stage in (0, 1):
        path = run.strategy.with_name(f"ckpt_strategy_rank_{2 * stage}.ckpt")
        path.write_bytes(strategy(names, stages=(stage,)))
    assert choose(run.source, stages=2).strategy is not None
    with pytest.raises(InconsistentError, match="describe 2 pipeline stages, but the run has 1"):
        choose(run.source, stages=1)


def test_explicit_files_are_what_is_merged(run: Run) -> None:
    """Whatever lies beside them."""
    run.write("32_4")
    files = [run.shard(rank) for rank in range(4)]
    assert [shard.path for shard in choose(run.source, files=files).shards] == files


def test_explicit_files_must_be_one_a_rank_and_of_one_tag(run: Run) -> None:
    """None is left out silently, and no rank's is found by itself."""
    run.write("32_4")
    files = [run.shard(rank) for rank in range(4)]
    with pytest.raises(InconsistentError, match=r"31_4\.ckpt: its name is that of a shard, but the merge of tag 32_4"):
        choose(run.source, files=[run.shard(0), *(run.shard(rank, "32_4") for rank in range(4))])
    with pytest.raises(InconsistentError, match="ranks 0, 1, 2: 31_4; rank 3: 32_4"):
        choose(run.source, files=[*files[:3], run.shard(3, "32_4")])
    with pytest.raises(InconsistentError, match="rank 3 has no shard"):
        choose(run.source, files=files[:3])


@pytest.mark.parametrize("module", ("handlers.shards.choice", "handlers.shards.tree_tracker"))
def test_the_daemon_gets_no_numpy_with_it(module: str) -> None:
    """The daemon imports these modules, and must stay small."""
    script = f"import {module}, sys; sys.exit('numpy' in sys.modules or 'google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
