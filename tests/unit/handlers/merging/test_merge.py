"""Promises of handlers.merging.merge: the merge step as a whole, over a tree as a training leaves it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.ckpt import (
    Family,
    InconsistentError,
    NotFinite,
    NotFiniteError,
    OutputExistsError,
    OutputFormat,
    read_manifest,
    read_strategy,
    walk,
)
from handlers.merging.merge import run as merge_run
from handlers.records.merge_plan import MergePlan
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, ckpt, small_run, strategy

BIAS = "layers.0.query_key_value.bias"
STRATEGIES = Path(__file__).parents[3] / "fixtures" / "strategies"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


def plan_of(run: Run, **changes: Any) -> MergePlan:  # noqa: ANN401 - any of its fields
    """Plan the merge of a run into `merged/` beside it."""
    root = run.source.parent
    plan = MergePlan(source=run.source, destination=root / "merged")
    return replace(plan, **changes)


def test_a_tree_becomes_one_file(run: Run) -> None:
    """Output and manifest are there, and the summary says what happened."""
    plan = plan_of(run)
    summary = merge_run(plan)
    assert summary.outputs == (plan.destination / "filtered_transformed.ckpt",)
    assert summary.outputs[0].read_bytes() == run.merged()
    assert (summary.prefix, summary.tag, summary.ranks) == ("glm-6b", "31_4", 4)
    assert (summary.entries_in, summary.entries_kept, summary.unlaid) == (10, 8, 3)
    assert (summary.dropped, summary.adapters_merged) == ({Family.OPTIMIZER: 2}, 0)
    assert summary.bytes == len(run.merged())
    assert read_manifest(plan.destination / "manifest.json").tag == "31_4"


def test_diverged_weights_are_kept(run: Run) -> None:
    """A job's plan allows them: the output is there, and the summary names them."""
    plan = plan_of(run, allow_not_finite=("*",))
    merge_run(plan)
    run.tensors[BIAS][2] = np.nan
    run.write("32_4")
    diverged = replace(plan, destination=plan.destination.with_name("diverged"))
    for _ in range(2):
        summary = merge_run(diverged)
        assert summary.not_finite == {BIAS: NotFinite(1, 0)}
        assert summary.outputs[0].exists()
    with pytest.raises(NotFiniteError, match=BIAS):
        merge_run(replace(diverged, allow_not_finite=(), destination=plan.destination.with_name("other")))


def test_done_again_it_only_mends_what_is_missing(run: Run) -> None:
    """The step may be run twice: the output stays."""
    plan = plan_of(run)
    first = merge_run(plan)
    inode = first.outputs[0].stat().st_ino
    again = merge_run(plan)
    assert again.outputs[0].stat().st_ino == inode


def test_another_tags_output_is_refused_unless_forced(run: Run) -> None:
    """What is there already of other shards stays."""
    merge_run(plan_of(run))
    run.write("40_4")
    with pytest.raises(OutputExistsError):
        merge_run(plan_of(run))
    assert merge_run(plan_of(run, force=True)).tag == "40_4"


def test_glm_under_its_real_strategy(tmp_path: Path) -> None:
    """MindSpore's own strategy file for GLM, mp 8, with shards cut by it: rows, columns, biases, norms."""
    real = STRATEGIES / "mp8" / "ckpt_strategy_rank_0.ckpt"
    run = Run(tmp_path / "output", 8)
    generator = np.random.default_rng(3)
    for name, dims, kind, _ in json.loads((STRATEGIES / "mp8" / "parameters.json").read_text()):
        run.tensors[name] = generator.integers(0, 99, dims).astype(kind.lower())
    for name, layout in read_strategy(real).layouts.items():
        run.layouts[name] = Lay(layout.dev_matrix, layout.tensor_map)
    run.write()
    shutil.copy(real, run.strategy)
    summary = merge_run(plan_of(run))
    assert summary.outputs[0].read_bytes() == run.merged()


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    (
        ("older tag on one rank", InconsistentError, "ranks disagree on their newest tag"),
        ("a rank missing", InconsistentError, "rank 2 has no shard"),
        ("replicated strategy", InconsistentError, "embedding_table"),
        ("parameter not in the strategy", InconsistentError, "dense_4h_to_h.weight: it differs.*no strategy names it"),
        ("one stage of two", InconsistentError, "of one pipeline stage of several"),
        ("the second stage's strategy alone", InconsistentError, "no file of stage 0 is given"),
    ),
)
def test_nothing_is_silently_wrong(run: Run, spoil: str, error: type[Exception], message: str) -> None:
    """What MindSpore's own merge gets silently wrong is refused, and nothing is written."""
    columns = "layers.0.dense_4h_to_h.weight"
    match spoil:
        case "older tag on one rank":
            run.write("9_4")
            run.shard(1).unlink()
        case "a rank missing":
            run.shard(2).unlink()
        case "replicated strategy":
            run.strategy.write_bytes(strategy({n: Lay((4,), [-1] * len(x.tensor_map)) for n, x in run.layouts.items()}))
        case "parameter not in the strategy":
            run.strategy.write_bytes(strategy({n: x for n, x in run.layouts.items() if n != columns}))
        case "one stage of two":
            run.strategy.write_bytes(strategy({n: Lay((2,), x.tensor_map) for n, x in run.layouts.items()}))
        case "the second stage's strategy alone":
            shutil.copy(STRATEGIES / "pp2_mp2" / "ckpt_strategy_rank_2.ckpt", run.strategy)
    with pytest.raises(error, match=message):
        merge_run(plan_of(run))
    destination = run.source.parent / "merged"
    assert not destination.exists() or list(destination.iterdir()) == []


def test_a_data_parallel_run_is_filtered(tmp_path: Path) -> None:
    """Without strategy files the shards alone are merged, once they are found equal."""
    run = small_run(tmp_path / "output")
    run.layouts = {}
    run.write()
    summary = merge_run(plan_of(run, needs_strategy=False))
    assert summary.outputs[0].read_bytes() == run.merged()
    run.write_shard(3, ckpt(run.slices(3) | {"epoch_num": run.tensors["epoch_num"] + 1}))
    with pytest.raises(InconsistentError, match="epoch_num"):
        merge_run(plan_of(run, needs_strategy=False, force=True))


def test_everything_is_written_in_the_formats_that_are_asked_for(run: Run) -> None:
    """Safetensors in several files with an index, and transformed.ckpt with the optimizer's state."""
    plan = plan_of(run, format=OutputFormat.SAFETENSORS, max_shard_size=500, transformed=True)
    summary = merge_run(plan)
    whole, *parts = summary.outputs
    assert whole.name == "transformed.ckpt"
    assert whole.read_bytes() == ckpt({name: run.tensors[name] for name in run.transformed()})
    index = json.loads((plan.destination / "model.safetensors.index.json").read_text())
    assert len(parts) > 1
    merged = {name: part.name for part in parts for name in walk(part).entries}
    assert index["weight_map"] == merged
    kept = [name for name in run.tensors if "adam" not in name]
    assert index["metadata"]["total_size"] == sum(run.tensors[name].nbytes for name in kept)
    assert sorted(merged) == sorted(kept)
    assert (summary.entries_kept, len(read_manifest(plan.destination / "manifest.json").parameters)) == (8, 8)


def test_a_replaced_output_leaves_none_of_its_files(run: Run) -> None:
    """With force another format takes the place of the first, not a place beside it."""
    merge_run(plan_of(run, format=OutputFormat.SAFETENSORS, max_shard_size=500))
    plan = plan_of(run, force=True)
    merge_run(plan)
    assert sorted(path.name for path in plan.destination.iterdir()) == ["filtered_transformed.ckpt", "manifest.json"]


@pytest.mark.parametrize("less", ("hashed", "compared"))
def test_an_output_made_with_less_care_does_not_count_as_one_made_with_more(run: Run, less: str) -> None:
    """Without hashes, or with replicas trusted, it is there already only for who asks for no more."""
    careless = plan_of(run, **{less: False})
    merge_run(careless)
    assert merge_run(careless).tag == "31_4"
    with pytest.raises(OutputExistsError):
        merge_run(plan_of(run))
    merge_run(plan_of(run, force=True))
    assert merge_run(careless).tag == "31_4"


def test_a_parameter_in_no_layout_is_laid_out_by_another_runs_strategy(run: Run) -> None:
    """A LoRA run's strategy does not name its frozen weights; that of a full fine-tune does."""
    full = run.source.parent / "full_strategy.ckpt"
    shutil.copy(run.strategy, full)
    columns = "layers.0.dense_4h_to_h.weight"
    run.strategy.write_bytes(strategy({name: lay for name, lay in run.layouts.items() if name != columns}))
    plan = plan_of(run, layout_from=full)
    merge_run(plan)
    assert (plan.destination / "filtered_transformed.ckpt").read_bytes() == run.merged()
    manifest = read_manifest(plan.destination / "manifest.json")
    assert [Path(each.path).name for each in manifest.strategies] == [run.strategy.name, full.name]


def test_trust_in_replicas_does_not_cover_what_no_strategy_names(run: Run) -> None:
    """A LoRA run's frozen slices differ, and rank 0's is not the whole weight, however much replicas are trusted."""
    columns = "layers.0.dense_4h_to_h.weight"
    run.strategy.write_bytes(strategy({name: lay for name, lay in run.layouts.items() if name != columns}))
    with pytest.raises(InconsistentError, match=rf"{columns}: it differs.*no strategy names it"):
        merge_run(plan_of(run, compared=False))
    assert not list((run.source.parent / "merged").glob("*"))


def staged(source: Path) -> Run:
    """Write a run of two stages of two ranks, with moments and accumulated gradients."""
    run = small_run(source, (2,))
    run.ranks, run.stages = 4, 2
    for index, name in enumerate(list(run.layouts)):
        run.stages_of[name] = (index % 2,)
        if "adam" not in name:
            accumulated = f"accu_grads.{name}"
            run.tensors[accumulated], run.layouts[accumulated] = run.tensors[name], run.layouts[name]
            run.stages_of[accumulated] = (index % 2,)
    return run.write()


def of_the_first_node(run: Run) -> None:
    """Leave what a run's first stage wrote, as if the second were on another host."""
    for rank in (2, 3):
        shutil.rmtree(run.shard(rank).parent)
    run.strategies[1].unlink()


def test_a_whole_pipeline_is_no_cause_for_caution(tmp_path: Path) -> None:
    """The stages are counted; the event says so too."""
    events: dict[str, dict[str, object]] = {}
    run = staged(tmp_path / "output")
    summary = merge_run(plan_of(run), None, lambda event, **fields: events.update({event: fields}))
    assert (summary.stages, summary.ranks, summary.cautions) == (2, 4, ())
    assert events["merge_planned"]["stages"] == 2
    assert summary.outputs[0].read_bytes() == run.merged()


@pytest.mark.parametrize("named", (False, True))
def test_half_a_pipeline_is_pointed_out(tmp_path: Path, named: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """No file of the first stage speaks of others; that gradients were accumulated says that there may be some."""
    run = staged(tmp_path / "output")
    of_the_first_node(run)
    (caution,) = merge_run(plan_of(run, strategy=run.strategy if named else None)).cautions
    assert (caution.event, caution.fields) == ("stages_may_be_missing", {"stages": 1, "ranks": 2})
    assert "If this run had more, the output is only a part of its model" in caution.reason
    assert merge_run(plan_of(run, stages=1)).cautions == ()


def test_half_a_pipeline_without_strategy_files_is_pointed_out(tmp_path: Path) -> None:
    """Taken for data parallel."""
    run = staged(tmp_path / "output")
    run.layouts = {}
    run.write()
    of_the_first_node(run)
    summary = merge_run(plan_of(run, needs_strategy=False))
    assert [caution.event for caution in summary.cautions] == ["stages_may_be_missing"]


@pytest.mark.parametrize("known", ({"ranks": 4, "stages": 2}, {"ranks": 4}, {"stages": 2}))
def test_half_a_pipeline_that_glmd_trained_is_refused(tmp_path: Path, known: dict[str, int]) -> None:
    """A job knows its ranks and its stages; either is enough."""
    run = staged(tmp_path / "output")
    of_the_first_node(run)
    with pytest.raises(
        InconsistentError, match=r"describes 2 ranks, but the run has 4|no strategy file describes stage 1"
    ):
        merge_run(plan_of(run, **known))
    assert not (tmp_path / "merged").exists()


def test_a_run_without_moments_is_no_cause_for_caution(run: Run) -> None:
    """One stage is what most runs have."""
    summary = merge_run(plan_of(run))
    assert (summary.stages, summary.cautions, summary.unlisted) == (1, (), {})


def test_a_family_that_no_list_names_is_left_out_with_a_caution(run: Run) -> None:
    """It is named, counted and kept on demand."""
    for name in [name for name in run.layouts if "adam" not in name]:
        run.tensors[f"ema.{name}"], run.layouts[f"ema.{name}"] = run.tensors[name], run.layouts[name]
        run.tensors[f"exp_avg.{name}"], run.layouts[f"exp_avg.{name}"] = run.tensors[name], run.layouts[name]
    run.write()
    summary = merge_run(plan_of(run))
    assert (summary.dropped, summary.unlisted) == ({Family.OPTIMIZER: 7, "ema": 5}, {"ema": 5})
    (caution,) = summary.cautions
    assert (caution.event, caution.fields) == ("family_dropped", {"family": "ema", "entries": 5})
    assert "keep 'ema' too" in caution.reason
    manifest = read_manifest(run.source.parent / "merged" / "manifest.json")
    assert manifest.dropped_by_prefix == {"adam_m": 1, "adam_v": 1, "exp_avg": 5, "ema": 5}
    kept = merge_run(plan_of(run, keep=("weights", "scalars", "ema"), force=True))
    assert (kept.dropped, kept.cautions, kept.entries_kept) == ({Family.OPTIMIZER: 7}, (), 13)
