"""Promises of handlers.ckpt.planning.plan: what does not fit together is refused, naming file and parameter."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import (
    CkptFile,
    Family,
    Fingerprint,
    InconsistentError,
    Plan,
    Strategy,
    UnsupportedLayoutError,
    merge,
    plan_merge,
    read_strategies,
    read_strategy,
    walk,
)
from handlers.ckpt.entry import ITEM_SIZES, Entry, Extent
from handlers.ckpt.planning.plan import Parameter
from tests.unit.handlers.ckpt.ckpt_writer import Array, Lay, Run, ckpt, layout_cases, small_run, strategy, strategy_json

ROWS = "layers.0.query_key_value.weight"
REAL = Path(__file__).parents[4] / "fixtures" / "strategies"


def plan_of(run: Run) -> Plan:
    """Plan the merge of a written run."""
    return plan_merge(shards_of(run), strategy_of(run))


def shards_of(run: Run) -> dict[int, CkptFile]:
    """Walk a written run's shards."""
    return {rank: walk(run.shard(rank)) for rank in range(run.ranks)}


def strategy_of(run: Run) -> Strategy | None:
    """Read a written run's strategy files."""
    return read_strategies(run.strategies) if run.layouts else None


def names(parameters: Sequence[Parameter]) -> list[str]:
    """Return the names of parameters."""
    return [parameter.name for parameter in parameters]


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


@pytest.mark.parametrize(
    ("kind", "dims", "merged"),
    (
        ("Float32", (0,), (0,)),
        ("Float32", (), ()),
        ("Float32", (1,), (1,)),
        ("Bool", (0,), (1,)),
        ("Bool", (), ()),
    ),
)
def test_scalars_come_out_as_their_mindspore_writes_them(
    kind: str, dims: tuple[int, ...], merged: tuple[int, ...]
) -> None:
    """2.0 writes shape () as [0], but loads a Bool [0] as shape (1,); 2.10 writes []."""
    entry = Entry("flag", dims, kind, (Extent(0, ITEM_SIZES[kind]),))
    (parameter,) = plan_merge({0: CkptFile(Path("x.ckpt"), Fingerprint(0, 0, 0), {"flag": entry})}, None).parameters
    assert (parameter.dims, parameter.nbytes) == (merged, ITEM_SIZES[kind])


def test_a_shape_that_contradicts_its_layout_is_refused(run: Run) -> None:
    """A layout for one dimension does not fit a matrix."""
    run.strategy.write_bytes(strategy(run.layouts | {ROWS: Lay((4,), (0,))}))
    with pytest.raises(InconsistentError, match=rf"rank_0\.ckpt: {ROWS}: tensor_map \[0\] is for 1 dimensions"):
        plan_of(run)


def test_uneven_slices_are_refused_by_name(run: Run) -> None:
    """Slices of different sizes are not merged yet."""
    run.strategy.write_bytes(strategy(run.layouts | {ROWS: Lay((4,), (0, -1), split_shape=(5, 7, 6, 6))}))
    with pytest.raises(UnsupportedLayoutError, match=f"{ROWS}: its slices differ in size .it uses param_split_shape"):
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


def staged_run(source: Path) -> Run:
    """Return a run of two stages of two ranks: an embedding that both share, a layer each, moments, scalars."""
    run = Run(source, 4, stages=2)
    generator = np.random.default_rng(5)
    weights = {"table": (0, 1), "layers.0.weight": (0,), "layers.1.weight": (1,), "head.bias": (1,)}
    for prefix in ("", "adam_m.", "accu_grads."):
        for name, stages in weights.items():
            dims = (8,) if name == "head.bias" else (8, 4)
            run.tensors[prefix + name] = generator.standard_normal(dims).astype("float32")
            run.layouts[prefix + name] = Lay((2,), (0,) if name == "head.bias" else (0, -1))
            run.stages_of[prefix + name] = stages
    run.tensors["global_step"] = np.array([124], "int32")
    return run


def test_stages_are_put_together(tmp_path: Path) -> None:
    """Every stage's parameters are there, the last stage's first, as MindSpore has them; shared ones once."""
    run = staged_run(tmp_path / "output").write()
    plan = plan_of(run)
    assert names(plan.parameters) == ["table", "layers.1.weight", "head.bias", "layers.0.weight", "global_step"]
    assert plan.entries_in == 13
    assert plan.dropped == {Family.OPTIMIZER: 8}
    shared, last = plan.parameters[0].tiling, plan.parameters[2].tiling
    assert shared.replicas == [(0, 2), (1, 3)]
    assert [band.sources for band in last.bands(4)] == [(2, 3)]
    assert plan.parameters[-1].tiling.replicas == [(0, 1, 2, 3)]


def test_shared_parameters_that_differ_are_refused(tmp_path: Path) -> None:
    """Tied embeddings are one parameter: one bit of difference between stages is an error."""
    run = staged_run(tmp_path / "output").write()
    slices = run.slices(3)
    slices["table"] = slices["table"] + 1
    run.write_shard(3, ckpt(slices))
    (tmp_path / "merged").mkdir()
    with pytest.raises(InconsistentError, match=r"rank_3-31_4\.ckpt: table: it differs from that of .*rank_1"):
        merge(plan_of(run), tmp_path / "merged")


@pytest.mark.parametrize(
    ("layout", "error", "message"),
    (
        (None, InconsistentError, r"rank_2-31_4\.ckpt: table: its pipeline stage's strategy does not name it"),
        (Lay((2,), (-1, 0)), UnsupportedLayoutError, r"table: pipeline stages share it, but it is cut differently"),
    ),
)
def test_shared_parameters_of_two_layouts_are_refused(
    tmp_path: Path, layout: Lay | None, error: type[Exception], message: str
) -> None:
    """Their copies could not be compared."""
    run = staged_run(tmp_path / "output").write()
    layouts = {name: lay for name, lay in run.layouts_of(1).items() if name != "table"}
    run.strategies[1].write_bytes(strategy(layouts | ({"table": layout} if layout else {}), stages=(1,)))
    with pytest.raises(error, match=message):
        plan_of(run)


def test_shared_parameters_of_two_shapes_or_types_are_refused(tmp_path: Path) -> None:
    """The message names both stages' files."""
    run = staged_run(tmp_path / "output").write()
    for rank in (2, 3):
        run.write_shard(rank, ckpt(run.slices(rank) | {"global_step": np.array(124, "int32")}))
    with pytest.raises(InconsistentError, match=r"rank_2-31_4\.ckpt: global_step: it is Int32\[0\] here, but .*rank_0"):
        plan_of(run)


def test_a_missing_stage_is_refused(tmp_path: Path) -> None:
    """One stage's strategy alone, whichever, makes no half of a checkpoint."""
    run = staged_run(tmp_path / "output").write()
    shards = shards_of(run)
    with pytest.raises(InconsistentError, match=r"describes 2 ranks, .* of one pipeline stage of several"):
        plan_merge(shards, read_strategy(run.strategies[0]))
    with pytest.raises(InconsistentError, match="no file of stage 0 is given"):
        plan_merge(shards, read_strategy(run.strategies[1]))
    with pytest.raises(InconsistentError, match="of 4 ranks, these have no shard: 2, 3"):
        plan_merge({0: shards[0], 1: shards[1]}, strategy_of(run))


def test_optimizer_state_is_kept_when_asked(run: Run) -> None:
    """Moments are laid out like any parameter."""
    plan = plan_merge(shards_of(run), strategy_of(run), keep=list(Family))
    assert names(plan.parameters) == run.transformed()
    assert plan.dropped == {}


def test_transformed_is_everything_in_mindspores_order(tmp_path: Path) -> None:
    """What is filtered stays what it was; beside it stands all that transform_checkpoint_by_rank writes."""
    run = staged_run(tmp_path / "output").write()
    plan = plan_merge(shards_of(run), strategy_of(run), transformed=True)
    assert names(plan.transformed) == run.transformed()
    assert plan.parameters == plan_of(run).parameters
    assert plan_of(run).transformed == ()


@pytest.mark.parametrize("which", ("adam_m.", "accu_grads."))
def test_state_that_is_not_of_its_weights_shape_is_refused(tmp_path: Path, which: str) -> None:
    """MindSpore may keep whole gradients, and write the layout of the optimizer's shards for them all the same."""
    run = small_run(tmp_path / "output", (2, 2))
    lay = run.layouts[ROWS] = run.layouts[ROWS].sharded(-1)
    run.tensors[which + ROWS], run.layouts[which + ROWS] = np.zeros((24, 8), "float32"), Lay((2, 2), (0, -1))
    run.write()
    run.strategy.write_bytes(strategy(run.layouts | {which + ROWS: lay}))
    plan_of(run)
    with pytest.raises(
        InconsistentError, match=rf"{which}{ROWS}: by its layout it is \[48, 8\] as a whole, but {ROWS} is"
    ):
        plan_merge(shards_of(run), strategy_of(run), transformed=True)


def test_frozen_weights_are_laid_out_by_a_full_runs_strategy(run: Run, tmp_path: Path) -> None:
    """A LoRA run's strategy names what it trains; for the rest stands a full run's, whatever else that names."""
    trained = {ROWS: run.layouts[ROWS]}
    run.strategy.write_bytes(strategy(trained))
    full = tmp_path / "full.ckpt"
    full.write_bytes(strategy({**run.layouts, "adam_m.lm_head.weight": Lay((4,), (0,))}))
    plan = plan_merge(shards_of(run), read_strategy(run.strategy), layout_from=read_strategy(full))
    assert plan.unlaid == ("scale_sense", "global_step", "epoch_num")
    assert list(plan.strategy_files) == [run.strategy, full]
    (tmp_path / "merged").mkdir()
    merge(plan, tmp_path / "merged")
    assert (tmp_path / "merged" / "filtered_transformed.ckpt").read_bytes() == run.merged()


def test_a_full_run_on_other_ranks_lays_nothing_out(run: Run, tmp_path: Path) -> None:
    """Slices of an eighth are not slices of a quarter."""
    full = tmp_path / "full.ckpt"
    full.write_bytes(strategy({"w": Lay((8,), (0,))}))
    with pytest.raises(InconsistentError, match=r"full\.ckpt is for 8 ranks, 8 a pipeline stage, but the run has 4"):
        plan_merge(shards_of(run), strategy_of(run), layout_from=read_strategy(full))


def test_a_whole_shape_that_the_strategy_contradicts_is_refused(run: Run) -> None:
    """The JSON form tells the whole tensor's shape: another run's is found out."""
    content = strategy_json({ROWS: run.layouts[ROWS]}).replace(b'"field"', b'"tensor_shape": [48, 8], "field"')
    run.strategy.write_bytes(content)
    with pytest.raises(
        InconsistentError, match=rf"{ROWS}: its slices .* make \[24, 8\], but tensor_shape is \[48, 8\]"
    ):
        plan_of(run)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_run_is_put_together(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Random grids, layouts, optimizer shards and stages: numpy cuts, and the merge gives the whole back."""
    dev_matrix = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    stages = data.draw(st.integers(1, 3))
    run = Run(tmp_path_factory.mktemp("run"), stages * int(np.prod(dev_matrix)), stages=stages)
    for index in range(data.draw(st.integers(1, 4))):
        lay, slice_dims = data.draw(layout_cases(dev_matrix))
        name, dims = f"p{index}.weight", whole_dims(lay, slice_dims)
        kind = data.draw(st.sampled_from(["float16", "float32", "int64"]))
        tensor: Array = np.arange(int(np.prod(dims))).astype(kind).reshape(dims)
        for each in (name, f"adam_v.{name}"):
            run.tensors[each], run.layouts[each] = tensor, lay
            run.stages_of[each] = data.draw(st.sets(st.integers(0, stages - 1), min_size=1).map(sorted))
    for stage in range(stages):
        run.tensors[f"own{stage}"], run.layouts[f"own{stage}"] = np.zeros(3, "int32"), Lay(dev_matrix, (-1,))
        run.stages_of[f"own{stage}"] = (stage,)
    run.tensors["epoch_num"] = np.array(31, "int64")
    run.write()
    merge(plan_merge(shards_of(run), strategy_of(run), transformed=True), run.source)
    assert (run.source / "filtered_transformed.ckpt").read_bytes() == run.merged()
    whole = ckpt({name: run.tensors[name] for name in run.transformed()})
    assert (run.source / "transformed.ckpt").read_bytes() == whole


def whole_dims(lay: Lay, slice_dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the tensor of which a layout's slices have this one; found by counting what one slice is."""
    cuts = [
        int(
            np.prod([lay.dev_matrix[-1 - axis] for axis in ([entry] if isinstance(entry, int) else entry) if axis >= 0])
        )
        for entry in lay.tensor_map
    ]
    if lay.shard_size and cuts:
        cuts[0] *= lay.shard_size if lay.shard_size > 0 else int(np.prod(lay.dev_matrix)) // int(np.prod(cuts))
    return tuple(size * cut for size, cut in zip(slice_dims, cuts, strict=True))


def test_a_family_is_kept_by_its_name(run: Run) -> None:
    """What no list names, as an average of the weights; by default it stays behind."""
    run.tensors[f"ema.{ROWS}"] = run.tensors[ROWS]
    run.layouts[f"ema.{ROWS}"] = run.layouts[ROWS]
    run.write()
    assert plan_of(run).dropped == {Family.OPTIMIZER: 2, "ema": 1}
    plan = plan_merge(shards_of(run), strategy_of(run), keep=("weights", "ema"))
    assert plan.dropped == {Family.OPTIMIZER: 2, Family.SCALARS: 3}
    assert plan.dropped_by_prefix == {"adam_m": 1, "adam_v": 1}
    assert f"ema.{ROWS}" in {parameter.name for parameter in plan.parameters}


def test_a_family_that_is_not_there_cannot_be_kept(run: Run) -> None:
    """What is there is listed; of what every set may have, none is no mistake."""
    run.tensors[f"ema.{ROWS}"] = run.tensors[ROWS]
    run.layouts[f"ema.{ROWS}"] = run.layouts[ROWS]
    run.write()
    there = r"5 weights, 3 scalars, 2 optimizer \(adam_m, adam_v\), 1 ema"
    with pytest.raises(InconsistentError, match=f"no family of it or of the other shards is called 'emma'.*{there}"):
        plan_merge(shards_of(run), strategy_of(run), keep=("weights", "emma"))
    del run.tensors[f"ema.{ROWS}"], run.layouts[f"ema.{ROWS}"]
    plan_merge(shards_of(run.write()), strategy_of(run), keep=tuple(Family))


def test_a_twin_may_be_in_another_stage(tmp_path: Path) -> None:
    """The set is what all ranks have saved."""
    run = small_run(tmp_path / "output", (2,))
    run.ranks, run.stages = 4, 2
    run.tensors[f"exp_avg_sq.{ROWS}"] = run.tensors[f"slow.{ROWS}"] = run.tensors[ROWS]
    run.layouts[f"exp_avg_sq.{ROWS}"] = run.layouts[f"slow.{ROWS}"] = run.layouts[ROWS]
    run.stages_of = {ROWS: (0,), f"exp_avg_sq.{ROWS}": (1,), f"slow.{ROWS}": (1,)}
    plan = plan_of(run.write())
    assert plan.dropped == {Family.OPTIMIZER: 3, "slow": 1}
    assert plan.stages == 2
