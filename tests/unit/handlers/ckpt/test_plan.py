"""Promises of handlers.ckpt.plan: what does not fit together is refused, naming file and parameter."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import (
    CkptFile,
    Family,
    Fingerprint,
    InconsistentError,
    Plan,
    UnsupportedLayoutError,
    plan_merge,
    read_strategy,
    walk,
)
from handlers.ckpt.entry import Entry, Extent
from tests.unit.handlers.ckpt.ckpt_writer import Array, Lay, Run, ckpt, strategy

ROWS = "layers.0.query_key_value.weight"
REAL = Path(__file__).parents[3] / "fixtures" / "strategies"


def plan_of(run: Run) -> Plan:
    """Plan the merge of a written run."""
    shards = {rank: walk(run.shard(rank)) for rank in range(run.ranks)}
    return plan_merge(shards, read_strategy(run.strategy) if run.layouts else None)


def test_the_filter_drops_optimizer_state_and_counts_it(run: Run) -> None:
    """Names with `adam` in them stay behind, and gradients that were accumulated."""
    run.tensors["accu_grads.layers.0.layernorm.gamma"] = np.zeros(8, "float32")
    plan = plan_of(run.write())
    assert plan.dropped == {Family.OPTIMIZER: 3}
    assert plan.entries_in == 11
    assert not [parameter.name for parameter in plan.parameters if "adam" in parameter.name]


def test_parameters_in_no_strategy_come_last_and_are_named(run: Run) -> None:
    """The order is MindSpore's: laid out parameters first."""
    run.tensors = {"first": np.zeros(3, "int32"), **run.tensors}
    plan = plan_of(run.write())
    assert plan.unlaid == ("first", "scale_sense", "global_step", "epoch_num")
    assert [parameter.name for parameter in plan.parameters][-4:] == list(plan.unlaid)


def test_what_to_keep_can_be_narrowed(run: Run) -> None:
    """Weights alone, without scalars."""
    shards = {rank: walk(run.shard(rank)) for rank in range(4)}
    plan = plan_merge(shards, read_strategy(run.strategy), keep=[Family.WEIGHTS])
    assert plan.dropped == {Family.OPTIMIZER: 2, Family.SCALARS: 3}


def test_a_missing_rank_is_refused(run: Run) -> None:
    """Every rank of the strategy must be there."""
    shards = {rank: walk(run.shard(rank)) for rank in (0, 1, 3)}
    with pytest.raises(InconsistentError, match="of 4 ranks, these have no shard: 2"):
        plan_merge(shards, read_strategy(run.strategy))


def test_a_strategy_of_fewer_ranks_is_refused(run: Run) -> None:
    """One stage's strategy file for the shards of two would write one stage's parameters only."""
    run.strategy.write_bytes(strategy({name: Lay((2,), lay.tensor_map) for name, lay in run.layouts.items()}))
    with pytest.raises(InconsistentError, match="speaks of 2 ranks, but there are shards of 4"):
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


@pytest.mark.parametrize("other", (np.zeros((6, 4), "float16"), np.zeros((6, 8), "float32")))
def test_ranks_that_disagree_on_shape_or_type_are_refused(run: Run, other: Array) -> None:
    """The message names the file, the parameter and both opinions."""
    run.write_shard(3, ckpt(run.slices(3) | {ROWS: other}))
    with pytest.raises(InconsistentError, match=rf"rank_3-31_4\.ckpt: {ROWS}: it is Float\d\d\[6, .\] here"):
        plan_of(run)


def test_a_shape_that_contradicts_its_layout_is_refused(run: Run) -> None:
    """A layout for one dimension does not fit a matrix."""
    run.strategy.write_bytes(strategy(run.layouts | {ROWS: Lay((4,), (0,))}))
    with pytest.raises(InconsistentError, match=rf"rank_0\.ckpt: {ROWS}: tensor_map \[0\] is for 1 dimensions"):
        plan_of(run)


def test_optimizer_shards_are_refused_by_name(run: Run) -> None:
    """They are not merged yet, and never taken for whole slices."""
    run.strategy.write_bytes(strategy(run.layouts | {ROWS: Lay((4,), (0, -1), shard_step=4, shard_size=-1)}))
    with pytest.raises(UnsupportedLayoutError, match=f"{ROWS}: its optimizer shards"):
        plan_of(run)


def test_uneven_slices_are_refused_by_name(run: Run) -> None:
    """Slices of different sizes are not merged yet."""
    run.strategy.write_bytes(strategy(run.layouts | {ROWS: Lay((4,), (0, -1), split_shape=(5, 7, 6, 6))}))
    with pytest.raises(UnsupportedLayoutError, match=f"{ROWS}: its slices differ in size"):
        plan_of(run)


def test_a_file_of_optimizer_state_alone_is_refused(run: Run) -> None:
    """Where nothing would be kept, nothing is written."""
    run.layouts = {}
    run.tensors = {"adam_m.w": np.zeros(3, "float32")}
    with pytest.raises(InconsistentError, match="no entry to keep"):
        plan_of(run.write())


def test_glm_6b_keeps_347_of_1027_entries() -> None:
    """The family is judged as the filter by hand does it: 340 weights and 7 scalars stay of GLM-6B's entries."""
    weights = [f"transformer.layers.{layer}.{part}" for layer in range(28) for part in "abcdefghijkl"]
    weights += ["transformer.word_embeddings.embedding_table", "lm_head.weight", "norm.gamma", "norm.beta"]
    moments = [f"adam_{which}.{name}" for which in "mv" for name in weights]
    scalars = ["scale_sense", "global_step", "current_iterator_step", "last_overflow_iterator_step"]
    scalars += ["epoch_num", "step_num", "loss_scale"]
    entries = {name: Entry(name, (2,), "Float16", (Extent(0, 4),)) for name in weights + moments}
    entries |= {name: Entry(name, (0,), "Float32", (Extent(0, 4),)) for name in scalars}
    plan = plan_merge({0: CkptFile(Path("x.ckpt"), Fingerprint(0, 0, 0), entries)}, None)
    assert (plan.entries_in, len(plan.parameters)) == (1027, 347)
