"""Promises of ckpt.planning.lora: adapters stay, go into their weights, or stand alone; what is unclear is refused."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import Family, InconsistentError, Plan, merge, plan_merge, read_manifest, read_strategies, walk
from handlers.ckpt.copying.lora_update import Update
from handlers.ckpt.planning.lora import Lora, LoraScale, with_adapters
from tests.unit.handlers.ckpt.ckpt_writer import Array, Lay, Run, ckpt, strategy

REAL = Path(__file__).parents[4] / "fixtures" / "strategies"
SCALE = LoraScale(32, 8)
LAYER = "transformer.layers.0.attention.query_key_value"
WEIGHT, A, B = f"{LAYER}.weight", f"{LAYER}.mindpet_delta_lora_a", f"{LAYER}.mindpet_delta_lora_b"

_ROWS = ("embedding_table", "lm_head.weight", "value.weight", "dense.weight", "dense_h_to_4h.weight", "lora_b")
_VECTORS = ("query_key_value.bias", "dense_h_to_4h.bias")


def lay_of(name: str, dims: tuple[int, ...]) -> Lay:
    """Return how GLM cuts a parameter for four model parallel ranks."""
    if name.endswith(_ROWS):
        return Lay((4,), (0, -1))
    if name.endswith("dense_4h_to_h.weight"):
        return Lay((4,), (-1, 0))
    return Lay((4,), (0,) if name.endswith(_VECTORS) else (-1,) * len(dims))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Write a LoRA run of GLM over four model parallel ranks, with the strategy file that MindSpore made for it."""
    generator = np.random.default_rng(11)
    run = Run(tmp_path / "output", 4)
    for name, dims, kind, _ in json.loads((REAL / "lora_mp4" / "parameters.json").read_text()):
        run.tensors[name] = (generator.standard_normal(dims) * 0.05).astype(kind.lower())
        if name.partition(".")[2]:
            run.layouts[name] = lay_of(name, tuple(dims))
    run.write()
    run.strategy.write_bytes((REAL / "lora_mp4" / "ckpt_strategy_rank_0.ckpt").read_bytes())
    return run


@pytest.fixture
def full(run: Run) -> Path:
    """Write the strategy file of a full run of the same network."""
    path = run.source / "full_strategy.ckpt"
    path.write_bytes(strategy({name: lay for name, lay in run.layouts.items() if "lora" not in name}))
    return path


def plan_of(run: Run, full: Path | None = None, *, keep: tuple[str, ...] = (Family.WEIGHTS, Family.SCALARS)) -> Plan:
    """Plan the merge of a written run."""
    shards = {rank: walk(run.shard(rank)) for rank in range(run.ranks)}
    own = read_strategies([run.strategy]) if run.strategy.exists() else None
    return plan_merge(shards, own, keep=keep, layout_from=read_strategies([full]) if full else None)


def written(plan: Plan, directory: Path) -> Mapping[str, bytes]:
    """Carry out a plan; return each parameter's content."""
    directory.mkdir()
    merge(plan, directory)
    path = directory / "filtered_transformed.ckpt"
    content = path.read_bytes()
    return {
        name: b"".join(content[extent.offset : extent.offset + extent.length] for extent in entry.extents)
        for name, entry in walk(path).entries.items()
    }


def merged(weight: Array, a: Array, b: Array, scaling: float) -> bytes:
    """Compute a weight with its adapter, whole."""
    block = bytearray(weight.tobytes())
    Update("w", {"float16": "Float16", "float32": "Float32"}[str(weight.dtype)], a, b, scaling).apply(
        0, memoryview(block)
    )
    return bytes(block)


def data_parallel(tmp_path: Path, tensors: Mapping[str, Array], ranks: int = 2) -> Run:
    """Write a data parallel run: every rank holds everything, and there is no strategy file."""
    return Run(tmp_path / "output", ranks, dict(tensors)).write()


def small(**changes: Array | None) -> dict[str, Array]:
    """Return a layer with an adapter, with tensors replaced, added, or, by None, left out."""
    generator = np.random.default_rng(5)
    tensors: dict[str, Array | None] = {
        "layer.mindpet_delta_lora_a": generator.standard_normal((2, 6)).astype("float32"),
        "layer.mindpet_delta_lora_b": generator.standard_normal((4, 2)).astype("float32"),
        "layer.weight": generator.standard_normal((4, 6)).astype("float16"),
        "layer.bias": generator.standard_normal(4).astype("float16"),
        "scale_sense": np.array(1024, "float32"),
    }
    return {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}


def test_merge_over_model_parallel_slices(run: Run, full: Path, tmp_path: Path) -> None:
    """Every adapter goes into its weight, as if both had been whole; all else is as it was; adapters are counted."""
    plan = with_adapters(plan_of(run, full), Lora.MERGE, SCALE)
    found = written(plan, tmp_path / "merged")
    expected = {
        name: tensor.tobytes() for name, tensor in run.tensors.items() if "lora" not in name and "adam" not in name
    }
    for layer in (0, 1):
        base = f"transformer.layers.{layer}.attention.query_key_value."
        weight, a, b = (run.tensors[base + name] for name in ("weight", "mindpet_delta_lora_a", "mindpet_delta_lora_b"))
        expected[f"{base}weight"] = merged(weight, a, b, 4.0)
        assert expected[f"{base}weight"] != weight.tobytes()
    assert found == expected
    assert plan.updates == {WEIGHT: 4.0, WEIGHT.replace("0", "1"): 4.0}
    assert plan.dropped == {Family.OPTIMIZER: 8}
    assert plan.entries_in == len(plan.parameters) + 8 + 2 * len(plan.updates)
    assert read_manifest(tmp_path / "merged" / "manifest.json").updates == plan.updates


def test_merge_over_pipeline_stages(tmp_path: Path) -> None:
    """Each stage has its own layers, and their adapters."""
    layers = {f"{stage}.{name}": tensor for stage in (0, 1) for name, tensor in small(scale_sense=None).items()}
    run = Run(tmp_path / "output", 4, dict(layers), stages=2, stages_of={name: (int(name[0]),) for name in layers})
    for name, tensor in layers.items():
        run.layouts[name] = Lay((2,), (0, -1) if name.endswith(("weight", "_b")) else (-1,) * tensor.ndim)
    run.write()
    full = [path.with_name(f"full_{path.name}") for path in run.strategies]
    for stage, path in enumerate(full):
        path.write_bytes(run.strategies[stage].read_bytes())
        own = {name: lay for name, lay in run.layouts_of(stage).items() if "lora" in name}
        run.strategies[stage].write_bytes(strategy(own, stages=(stage,)))
    shards = {rank: walk(run.shard(rank)) for rank in range(4)}
    plan = plan_merge(shards, read_strategies(run.strategies), layout_from=read_strategies(full))
    found = written(with_adapters(plan, Lora.MERGE, LoraScale(4, 2)), tmp_path / "merged")
    assert sorted(found) == ["0.layer.bias", "0.layer.weight", "1.layer.bias", "1.layer.weight"]
    for stage in (0, 1):
        weight, a, b = (layers[f"{stage}.{name}"] for name in ("layer.weight", A_HALF, B_HALF))
        assert found[f"{stage}.layer.weight"] == merged(weight, a, b, 2.0)


def test_keep_leaves_the_plan_alone(run: Run, full: Path) -> None:
    """Adapters stand beside their weights."""
    plan = plan_of(run, full)
    assert with_adapters(plan, Lora.KEEP) is plan
    assert {A, B, WEIGHT} <= {parameter.name for parameter in plan.parameters}


def test_only_needs_no_layout_of_frozen_weights(run: Run, tmp_path: Path) -> None:
    """The adapters alone are in the output, whole; the slices that no strategy names are not looked at."""
    plan = with_adapters(plan_of(run), Lora.ONLY)
    adapters = {name: tensor for name, tensor in run.tensors.items() if "lora" in name and "adam" not in name}
    assert written(plan, tmp_path / "merged") == {name: tensor.tobytes() for name, tensor in adapters.items()}
    assert plan.dropped == {Family.OPTIMIZER: 8, Family.WEIGHTS: 28, Family.SCALARS: 4}


def test_frozen_slices_without_a_layout_are_refused(run: Run) -> None:
    """An adapter is not added to rank 0's slice of the weight."""
    with pytest.raises(InconsistentError, match=r"weight: Float16\[48, 64\] does not fit .* \(--layout-from\)"):
        with_adapters(plan_of(run), Lora.MERGE, SCALE)


def test_a_merge_with_another_scaling_is_another_merge(tmp_path: Path) -> None:
    """The output of lora_alpha 32 does not pass for that of 16."""
    run = data_parallel(tmp_path, small())
    destination = tmp_path / "merged"
    destination.mkdir()
    first = merge(with_adapters(plan_of(run), Lora.MERGE, LoraScale(32, 2)), destination)
    assert merge(with_adapters(plan_of(run), Lora.MERGE, LoraScale(32, 2)), destination) == first
    again = merge(with_adapters(plan_of(run), Lora.MERGE, LoraScale(16, 2)), destination, force=True)
    assert again.updates == {"layer.weight": 8.0}
    assert again.parameters != first.parameters


@pytest.mark.parametrize("maker", ("mindpet", "tk"))
def test_data_parallel_runs_have_no_strategy(tmp_path: Path, maker: str) -> None:
    """Both names that MindPet has given adapters are understood; the order of the rest stays."""
    tensors = {name.replace("mindpet", maker): tensor for name, tensor in small().items()}
    plan = with_adapters(plan_of(data_parallel(tmp_path, tensors)), Lora.MERGE, LoraScale(4, 2))
    found = written(plan, tmp_path / "merged")
    a, b = (tensors[f"layer.{maker}_delta_lora_{half}"] for half in "ab")
    assert list(found) == ["layer.weight", "layer.bias", "scale_sense"]
    assert found["layer.weight"] == merged(tensors["layer.weight"], a, b, 2.0)
    assert found["layer.bias"] == tensors["layer.bias"].tobytes()


@pytest.mark.parametrize("names", (("lora_a", "lora_b"), ("lora_A.weight", "lora_B.weight")))
@pytest.mark.parametrize("lora", (Lora.MERGE, Lora.ONLY))
def test_adapters_of_parallel_layers(tmp_path: Path, names: tuple[str, str], lora: Lora) -> None:
    """MindFormers' own layers call adapters otherwise than MindPet does; their moments are no adapters."""
    tensors = small()
    for old, name in zip((A_HALF, B_HALF), names, strict=True):
        tensors[f"layer.{name}"] = tensors.pop(old)
        tensors[f"adam_m.layer.{name}"] = tensors[f"layer.{name}"]
    plan = with_adapters(plan_of(data_parallel(tmp_path, tensors)), lora, LoraScale(4, 2))
    found = written(plan, tmp_path / "merged")
    a, b = (tensors[f"layer.{name}"] for name in names)
    if lora is Lora.ONLY:
        assert found == {f"layer.{names[0]}": a.tobytes(), f"layer.{names[1]}": b.tobytes()}
    else:
        assert sorted(found) == ["layer.bias", "layer.weight", "scale_sense"]
        assert found["layer.weight"] == merged(tensors["layer.weight"], a, b, 2.0)


def test_the_other_half_of_a_parallel_layer_is_named(tmp_path: Path) -> None:
    """What is missing is called as its layer would call it."""
    tensors = small(**{A_HALF: None, B_HALF: None, "layer.lora_A.weight": np.ones((2, 6), "float32")})
    with pytest.raises(InconsistentError, match=r"layer\.lora_A\.weight: its other half, layer\.lora_B\.weight, is"):
        with_adapters(plan_of(data_parallel(tmp_path, tensors)), Lora.ONLY)


def test_adapters_of_experts_are_refused(tmp_path: Path) -> None:
    """Three dimensions, an expert's number first, are no matrix: glmd does not know how they are used."""
    tensors = small(**{A_HALF: np.ones((2, 2, 6), "float32")})
    with pytest.raises(InconsistentError, match=r"Float32\[2, 2, 6\] is no half of an adapter, which is a matrix"):
        with_adapters(plan_of(data_parallel(tmp_path, tensors)), Lora.MERGE, LoraScale(4, 2))


@pytest.mark.parametrize("lora", tuple(Lora))
def test_a_strategy_of_all_weights_needs_no_other(tmp_path: Path, lora: Lora) -> None:
    """With only_trainable_params: False the run's own file lays out the frozen weights: nothing else is asked for."""
    run = Run(tmp_path / "output", 2, small())
    rows, whole = Lay((2,), (0, -1)), Lay((2,), (-1, -1))
    run.layouts = {"layer.weight": rows, "layer.bias": Lay((2,), (0,)), A_HALF: whole, B_HALF: rows}
    run.tensors |= {f"adam_m.{name}": run.tensors[name] for name in (A_HALF, B_HALF)}
    run.layouts |= {f"adam_m.{name}": run.layouts[name] for name in (A_HALF, B_HALF)}
    run.write()
    found = written(with_adapters(plan_of(run), lora, LoraScale(4, 2)), tmp_path / "merged")
    weight, a, b = (run.tensors[name] for name in ("layer.weight", A_HALF, B_HALF))
    adapters = {A_HALF: a.tobytes(), B_HALF: b.tobytes()}
    rest = {name: run.tensors[name].tobytes() for name in ("layer.bias", "scale_sense")}
    assert (
        found
        == {
            Lora.KEEP: adapters | rest | {"layer.weight": weight.tobytes()},
            Lora.MERGE: rest | {"layer.weight": merged(weight, a, b, 2.0)},
            Lora.ONLY: adapters,
        }[lora]
    )


def test_adapters_of_other_types(tmp_path: Path) -> None:
    """Float16 adapters of a Float32 weight are computed with in float32."""
    tensors = small()
    for half in "ab":
        tensors[f"layer.mindpet_delta_lora_{half}"] = tensors[f"layer.mindpet_delta_lora_{half}"].astype("float16")
    tensors["layer.weight"] = tensors["layer.weight"].astype("float32")
    plan = with_adapters(plan_of(data_parallel(tmp_path, tensors)), Lora.MERGE, LoraScale(4, 2))
    a, b = (tensors[f"layer.mindpet_delta_lora_{half}"].astype("float32") for half in "ab")
    assert written(plan, tmp_path / "merged")["layer.weight"] == merged(tensors["layer.weight"], a, b, 2.0)


def test_moments_of_merged_adapters_leave_with_them(tmp_path: Path) -> None:
    """With the optimizer state kept, that of adapters has nothing left to belong to."""
    state: dict[str, Array] = {
        f"{kind}.{name}": np.ones((1, 2), "float32")
        for kind in ("adam_m", "adam_v", "accu_grads")
        for name in ("layer.mindpet_delta_lora_a", "layer.weight")
    }
    plan = plan_of(data_parallel(tmp_path, small(**state)), keep=tuple(Family))
    plan = with_adapters(plan, Lora.MERGE, LoraScale(4, 2))
    assert plan.dropped == {Family.OPTIMIZER: 3}
    names = [parameter.name for parameter in plan.parameters if parameter.name in state]
    assert names == [name for name in state if name.endswith("weight")]


@pytest.mark.parametrize("prefix", ("exp_avg.", "exp_avg_sq_", "ema."))
def test_so_does_other_state_of_theirs(tmp_path: Path, prefix: str) -> None:
    """Whatever the optimizer calls it; and none of it is taken for an adapter."""
    halves = {f"layer.mindpet_delta_lora_{half}": tensor for half, tensor in (("a", (2, 6)), ("b", (4, 2)))}
    state: dict[str, Array] = {f"{prefix}{name}": np.ones(dims, "float32") for name, dims in halves.items()}
    family = "ema" if prefix == "ema." else "optimizer"
    plan = plan_of(data_parallel(tmp_path, small(**state)), keep=("weights", "scalars", family))
    merged_plan = with_adapters(plan, Lora.MERGE, LoraScale(4, 2))
    assert merged_plan.dropped == {family: 2}
    assert [each.name for each in merged_plan.parameters] == ["layer.weight", "layer.bias", "scale_sense"]
    only = with_adapters(plan, Lora.ONLY)
    assert {each.name for each in only.parameters} == set(halves)


def test_ranks_whose_adapters_differ_are_refused(tmp_path: Path) -> None:
    """Adapters leave the output, and are compared all the same."""
    run = data_parallel(tmp_path, small())
    run.write_shard(1, ckpt(small(**{"layer.mindpet_delta_lora_b": np.ones((4, 2), "float32")})))
    plan = with_adapters(plan_of(run), Lora.MERGE, LoraScale(4, 2))
    destination = tmp_path / "merged"
    destination.mkdir()
    with pytest.raises(InconsistentError, match=r"rank_1.*: layer\.mindpet_delta_lora_b: it differs"):
        merge(plan, destination)
    assert list(destination.iterdir()) == []


A_HALF, B_HALF = "layer.mindpet_delta_lora_a", "layer.mindpet_delta_lora_b"


@pytest.mark.parametrize("lora", (Lora.MERGE, Lora.ONLY))
@pytest.mark.parametrize(
    ("changes", "what"),
    (
        ({A_HALF: None}, f"{B_HALF}: its other half, {A_HALF}, is missing"),
        ({B_HALF: None}, f"{A_HALF}: its other half, {B_HALF}, is missing"),
        ({A_HALF: None, B_HALF: None}, "its kept entries have no LoRA adapter"),
        (
            {"layer.tk_delta_lora_a": np.ones((2, 6), "float32")},
            f"layer.tk_delta_lora_a: {A_HALF} is an adapter of the same weight",
        ),
        ({A_HALF: np.ones((3, 6), "float32")}, f"{A_HALF}: Float32[3, 6] does not fit {B_HALF} Float32[4, 2]"),
        (
            {A_HALF: np.ones((3, 6), "float32"), B_HALF: np.ones((4, 3), "float32")},
            f"{A_HALF}: Float32[3, 6] is of rank 3, but lora_rank is 2",
        ),
        ({A_HALF: np.ones(6, "float32")}, f"{A_HALF}: Float32[6] is no half of an adapter"),
        ({B_HALF: np.ones((4, 2), "int32")}, f"{B_HALF}: Int32[4, 2] is no half of an adapter"),
    ),
)
def test_adapters_that_are_no_pair(tmp_path: Path, lora: Lora, changes: dict[str, Array | None], what: str) -> None:
    """The message names the file and the parameter."""
    run = data_parallel(tmp_path, small(**changes))
    with pytest.raises(InconsistentError) as caught:
        with_adapters(plan_of(run), lora, LoraScale(4, 2))
    assert what in str(caught.value)
    assert str(run.shard(0)) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "what"),
    (
        ({"layer.weight": None}, f"{A_HALF}: the weight that it belongs to, layer.weight, is not there"),
        ({"layer.weight": np.ones((4, 7), "float16")}, "layer.weight: Float16[4, 7] does not fit its adapter"),
        ({"layer.weight": np.ones((6, 4), "float16")}, "transposed weights are not merged"),
        ({"layer.weight": np.ones((4, 6), "int32")}, "layer.weight: no adapter can be added to Int32"),
    ),
)
def test_adapters_that_fit_no_weight(tmp_path: Path, changes: dict[str, Array | None], what: str) -> None:
    """Merging needs the weight; the adapters alone do not."""
    run = data_parallel(tmp_path, small(**changes))
    with pytest.raises(InconsistentError) as caught:
        with_adapters(plan_of(run), Lora.MERGE, LoraScale(4, 2))
    assert what in str(caught.value)
    assert str(run.shard(0)) in str(caught.value)
    assert len(with_adapters(plan_of(run), Lora.ONLY).parameters) == 2


def test_merging_without_alpha_is_no_guess(tmp_path: Path) -> None:
    """A scaling of 1, the default of MindFormers' tool, is wrong for GLM."""
    with pytest.raises(ValueError, match="without alpha and rank"):
        with_adapters(plan_of(data_parallel(tmp_path, small())), Lora.MERGE)
