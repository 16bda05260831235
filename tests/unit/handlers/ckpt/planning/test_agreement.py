"""Promises of ckpt.planning.agreement: shards that are not of one run are refused, naming file and parameter."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import (
    CkptFile,
    Family,
    InconsistentError,
    Plan,
    check_names,
    plan_merge,
    read_strategies,
    read_strategy,
    walk,
)
from tests.unit.handlers.ckpt.ckpt_writer import Array, Lay, Run, Write, ckpt, record, small_run, strategy

ROWS = "layers.0.query_key_value.weight"


def plan_of(run: Run) -> Plan:
    """Plan the merge of a written run."""
    shards = {rank: walk(run.shard(rank)) for rank in range(run.ranks)}
    return plan_merge(shards, read_strategies(run.strategies) if run.layouts else None)


def test_a_missing_rank_is_refused(run: Run) -> None:
    """Every rank of the strategy must be there."""
    shards = {rank: walk(run.shard(rank)) for rank in (0, 1, 3)}
    with pytest.raises(InconsistentError, match="of 4 ranks, these have no shard: 2"):
        plan_merge(shards, read_strategy(run.strategy))


def test_a_strategy_of_fewer_ranks_is_refused(run: Run) -> None:
    """One stage's strategy file for the shards of two would write one stage's parameters only."""
    run.strategy.write_bytes(strategy({name: Lay((2,), lay.tensor_map) for name, lay in run.layouts.items()}))
    with pytest.raises(InconsistentError, match="describes 2 ranks, but there are shards of 4"):
        plan_of(run)


@pytest.mark.parametrize("rank", (0, 2))
def test_a_shard_cut_between_two_records_is_refused(run: Run, rank: int) -> None:
    """A shard that lacks entries of the others is named, with the first one lacking."""
    tensors = dict(itertools.islice(run.slices(rank).items(), 7))
    run.write_shard(rank, ckpt(tensors))
    with pytest.raises(InconsistentError, match=rf"rank_{rank}-31_4\.ckpt: scale_sense: it is missing here"):
        plan_of(run)


def test_shards_all_cut_at_the_same_record_are_refused(run: Run) -> None:
    """What the strategy names and no shard has is refused, weight or moment."""
    for count, lacking in ((3, "layers.0.query_key_value.bias"), (6, "adam_v.")):
        for rank in range(4):
            run.write_shard(rank, ckpt(dict(itertools.islice(run.slices(rank).items(), count))))
        if lacking == "adam_v.":
            plan_of(run)  # a whole family may be missing: files of weights alone are no damage
        else:
            with pytest.raises(InconsistentError, match=f"{lacking}: it is in the strategy"):
                plan_of(run)


def test_a_part_of_a_family_of_moments_is_refused(run: Run) -> None:
    """Some moments without the rest mean that the shards were cut off."""
    run.layouts["adam_v.layers.0.query_key_value.bias"] = Lay((4,), (0,))
    with pytest.raises(InconsistentError, match=r"adam_v\.layers\.0\.query_key_value\.bias: it is in the strategy"):
        plan_of(run.write())


@pytest.mark.parametrize("prefix", ("exp_avg.", "exp_avg_sq_row_", "ema."))
def test_so_is_a_part_of_a_family_that_is_known_by_its_twins(run: Run, prefix: str) -> None:
    """All of it may be missing, as in files of weights alone; a part of it may not."""
    names = [f"{prefix}layers.0.query_key_value.{kind}" for kind in ("weight", "bias")]
    for name in names:
        run.layouts[name] = Lay((4,), (0, -1) if name.endswith("weight") else (0,))
    plan_of(run.write())
    run.tensors[names[0]] = np.zeros((24, 8), "float32")
    with pytest.raises(InconsistentError, match=f"{prefix}layers.0.query_key_value.bias: it is in the strategy"):
        plan_of(run.write())


def test_state_need_not_have_its_weight_s_shape(run: Run) -> None:
    """Factored moments have fewer dimensions, and Muon keeps one element of what it leaves to Adam."""
    run.tensors["exp_avg_sq_row_layers.0.query_key_value.weight"] = np.zeros(24, "float32")
    run.tensors["muon_m.layers.0.query_key_value.weight"] = np.zeros(1, "float32")
    run.tensors["adam_m.layers.0.query_key_value.bias"] = np.zeros(1, "float32")
    shards = {rank: walk(run.write().shard(rank)) for rank in range(run.ranks)}
    plan = plan_merge(shards, read_strategies(run.strategies), keep=tuple(Family))
    assert len(plan.parameters) == len(run.tensors)


@pytest.mark.parametrize("other", (np.zeros((6, 4), "float16"), np.zeros((6, 8), "float32")))
def test_ranks_that_disagree_on_shape_or_type_are_refused(run: Run, other: Array) -> None:
    """The message names the file, the parameter and both opinions."""
    run.write_shard(3, ckpt(run.slices(3) | {ROWS: other}))
    with pytest.raises(InconsistentError, match=rf"rank_3-31_4\.ckpt: {ROWS}: it is Float\d\d\[6, .\] here"):
        plan_of(run)


def staged(source: Path) -> Run:
    """Return a run of two stages of two ranks, with moments."""
    run = small_run(source, (2,))
    run.ranks, run.stages = 4, 2
    for index, name in enumerate(run.layouts):
        run.stages_of[name] = (index % 2,)
    return run.write()


def test_stages_need_not_have_the_same_entries(tmp_path: Path) -> None:
    """Only the ranks of one stage do."""
    run = staged(tmp_path / "output")
    plan_of(run)
    run.write_shard(3, ckpt(run.slices(1)))
    with pytest.raises(InconsistentError, match=r"rank_3-31_4\.ckpt: .* it is missing here, but .*rank_2"):
        plan_of(run)


def test_a_shard_is_held_against_its_own_stage(tmp_path: Path) -> None:
    """As shards arrive, each is judged by itself: by what the strategy names for its rank's stage."""
    run = staged(tmp_path / "output")
    read = read_strategies(run.strategies)
    shards = [walk(run.shard(rank)) for rank in range(4)]
    for rank, shard in enumerate(shards):
        check_names(read, shard, rank)
    with pytest.raises(
        InconsistentError, match=r"rank_1-31_4\.ckpt: .*: it is in the strategy .*rank_2\.ckpt, but not"
    ):
        check_names(read, shards[1], 3)


def test_many_missing_ranks_are_not_all_listed(run: Run) -> None:
    """A strategy of a million ranks gets a short answer."""
    run.strategy.write_bytes(strategy({"w": Lay((1 << 20,), (0,))}))
    with pytest.raises(InconsistentError, match=r"of 1048576 ranks, these have no shard: 4, .*, 23, …$"):
        plan_of(run)


def test_no_shards_are_refused() -> None:
    """Nothing is nothing's merge."""
    none: dict[int, CkptFile] = {}
    with pytest.raises(InconsistentError, match="these have no shard: all"):
        plan_merge(none, None)


def test_texts_of_different_lengths_are_not_alike(written: Write) -> None:
    """Their dims say nothing of it, and one may begin with all of the other."""
    shards = {
        rank: walk(written(record("info", (0,), "str", text.encode("utf-32-le")), f"{rank}.ckpt"))
        for rank, text in enumerate(("ab", "abc"))
    }
    with pytest.raises(InconsistentError, match=r"1\.ckpt: info: it is a text of 12 bytes here, but of 8 in"):
        plan_merge(shards, None)
