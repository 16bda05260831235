"""Promises of handlers.ckpt about weights with NaN and infinity: counted as written, and never kept unasked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import (
    CopyOptions,
    Family,
    Format,
    Lora,
    LoraScale,
    Manifest,
    NotFinite,
    NotFiniteError,
    OutputExistsError,
    OutputOptions,
    Plan,
    merge,
    plan_merge,
    read_manifest,
    read_strategies,
    verify,
    walk,
    with_adapters,
)
from handlers.ckpt.looking.inspect import CkptTable, OutputTable, inspect
from handlers.ckpt.planning.output import FILTERED
from handlers.ckpt.publishing.manifest import NAME
from tests.unit.handlers.ckpt.ckpt_writer import Array, Lay, Run, ckpt, record, small_run
from tests.unit.handlers.ckpt.merging import names

ROWS = "layers.0.query_key_value.weight"
COLUMNS = "layers.0.dense_4h_to_h.weight"
BIAS = "layers.0.query_key_value.bias"
MOMENT = f"adam_m.{ROWS}"
ALL = OutputOptions(allow_not_finite=("*",))


def spoilt(run: Run, *which: str) -> Run:
    """Put NaN, infinity and minus infinity into some elements of tensors, at their ends too."""
    for name in which or tuple(run.tensors):
        tensor = run.tensors[name]
        if tensor.dtype.kind == "f" and tensor.size > 1:
            flat = tensor.reshape(-1)
            flat[0], flat[-1], flat[flat.size // 2] = np.nan, np.inf, -np.inf
    return run


def plan_of(run: Run, *, transformed: bool = False, keep: Sequence[Family] = (Family.WEIGHTS, Family.SCALARS)) -> Plan:
    """Plan the merge of a written run."""
    shards = {rank: walk(run.shard(rank)) for rank in range(run.ranks)}
    strategy = read_strategies(run.strategies) if run.layouts else None
    return plan_merge(shards, strategy, transformed=transformed, keep=keep)


def counts(tensors: Mapping[str, Array]) -> dict[str, NotFinite]:
    """Count as numpy does."""
    floats = {name: tensor for name, tensor in tensors.items() if tensor.dtype.kind == "f"}
    found = {name: NotFinite(int(np.isnan(each).sum()), int(np.isinf(each).sum())) for name, each in floats.items()}
    return {name: count for name, count in found.items() if count}


def assert_counted(manifest: Manifest, run: Run) -> None:
    """Hold a manifest against the run's tensors."""
    kept = {each.name for each in manifest.parameters}
    assert manifest.not_finite == counts({name: each for name, each in run.tensors.items() if name in kept})
    assert manifest.counted
    assert len(manifest.not_finite) >= 3


@pytest.mark.parametrize("dev_matrix", ((1,), (4,), (8,), (2, 4), (2, 2, 2)))
@pytest.mark.parametrize("form", Format)
def test_every_layout_is_counted(tmp_path: Path, dev_matrix: tuple[int, ...], form: Format) -> None:
    """Rows, columns that interleave, replicas, scalars, optimizer state: in either format."""
    run = spoilt(small_run(tmp_path / "output", dev_matrix)).write()
    assert_counted(merge(plan_of(run, keep=[*Family]), tmp_path, replace(ALL, format=form)), run)


def test_optimizer_shards_are_counted(tmp_path: Path) -> None:
    """Each rank's part of a slice."""
    run = small_run(tmp_path / "output", (2, 2))
    run.layouts = {
        name: lay.sharded(-1) if run.tensors[name].ndim == 2 and name != COLUMNS else lay
        for name, lay in run.layouts.items()
    }
    assert_counted(merge(plan_of(spoilt(run).write()), tmp_path, ALL), run)


def test_pipeline_stages_are_counted(tmp_path: Path) -> None:
    """Each stage's own parameters."""
    run = Run(tmp_path / "output", 4, stages=2)
    for index in range(4):
        run.tensors[f"w{index}"] = np.ones((4, 6), "float16")
        run.layouts[f"w{index}"] = Lay((2,), (0, -1) if index % 2 else (-1, 0))
        run.stages_of[f"w{index}"] = (index // 2,)
    assert_counted(merge(plan_of(spoilt(run).write()), tmp_path, ALL), run)


@pytest.mark.parametrize("buffer", (1, 7, 1000))
def test_chunks_files_and_buffers_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buffer: int) -> None:
    """Wherever elements are cut."""
    monkeypatch.setattr("handlers.ckpt.formats.record.CHUNK", 100)
    monkeypatch.setattr("handlers.ckpt.copying.copy.BUFFER", buffer)
    run = spoilt(small_run(tmp_path / "output")).write()
    for number, options in enumerate((ALL, replace(ALL, format=Format.SAFETENSORS, max_shard_size=300))):
        destination = tmp_path / str(number)
        destination.mkdir()
        assert_counted(merge(plan_of(run), destination, options), run)


@pytest.mark.parametrize(
    ("type_", "element", "found"),
    (
        ("BFloat16", "c07f", NotFinite(1, 0)),
        ("Float64", "000000000000f0ff", NotFinite(0, 1)),
        ("Complex64", "0000807f0000c07f", NotFinite(1, 0)),
        ("Complex128", "0000000000000000000000000000f07f", NotFinite(0, 1)),
        ("Float8E4M3FN", "ff", NotFinite(1, 0)),
        ("Float8E5M2", "7c", NotFinite(0, 1)),
        ("HiFloat8", "80", NotFinite(1, 0)),
        ("HiFloat8", "ef", NotFinite(0, 1)),
        ("Int8", "80", NotFinite()),
        ("UInt16", "ffff", NotFinite()),
    ),
)
def test_every_type_is_counted(tmp_path: Path, type_: str, element: str, found: NotFinite) -> None:
    """Those that numpy has not, too; whole numbers never."""
    content = bytes.fromhex(element)
    shard = tmp_path / "shard.ckpt"
    shard.write_bytes(record("w", (3,), type_, bytes(len(content)) + content + bytes(len(content))))
    plan = plan_merge({0: walk(shard)}, None)
    if found:
        with pytest.raises(NotFiniteError):
            merge(plan, tmp_path)
    assert merge(plan, tmp_path, ALL).not_finite == ({"w": found} if found else {})


def test_it_is_refused_by_name(tmp_path: Path) -> None:
    """The parameters, how much, of which ranks; nothing is left, and what was there stays."""
    run = spoilt(small_run(tmp_path / "output", (2, 2)), ROWS).write()
    run.tensors[BIAS][13] = np.nan
    destination = tmp_path / "merged"
    destination.mkdir()
    with pytest.raises(NotFiniteError) as caught:
        merge(plan_of(run.write()), destination)
    assert str(caught.value) == (
        f"{destination}: 2 parameters hold NaN or infinity: {ROWS} (1 NaN, 2 infinite, ranks 0-3), "
        f"{BIAS} (1 NaN, ranks 1,3); nothing was written. Did the training diverge? Merge an earlier tag, or allow it "
        "(--allow-not-finite, for all or for names that match a pattern)"
    )
    assert caught.value.found == {ROWS: NotFinite(1, 2), BIAS: NotFinite(1, 0)}
    assert names(destination) == []


def test_force_leaves_the_old_output_where_the_new_one_is_refused(tmp_path: Path) -> None:
    """It is not taken away for weights that nobody wants."""
    run = small_run(tmp_path / "output").write()
    merge(plan_of(run), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in (FILTERED, NAME)}
    with pytest.raises(NotFiniteError):
        merge(plan_of(spoilt(run, ROWS).write()), tmp_path, force=True)
    assert {name: (tmp_path / name).read_bytes() for name in (FILTERED, NAME)} == before
    assert names(tmp_path) == [FILTERED, NAME, "output"]


@pytest.mark.parametrize(
    ("patterns", "refused"),
    (
        ((), {ROWS, BIAS}),
        (("*.bias",), {ROWS}),
        (("*.bias", "layers.?.query_key_value.weight"), set()),
        (("LAYERS.*",), {ROWS, BIAS}),
        (("query_key_value",), {ROWS, BIAS}),
        (("*",), set()),
    ),
)
def test_patterns_allow_by_name(tmp_path: Path, patterns: tuple[str, ...], refused: set[str]) -> None:
    """The whole name, upper and lower case told apart; any of several patterns will do."""
    plan = plan_of(spoilt(small_run(tmp_path / "output"), ROWS, BIAS).write())
    options = OutputOptions(allow_not_finite=patterns)
    if refused:
        with pytest.raises(NotFiniteError) as caught:
            merge(plan, tmp_path, options)
        assert set(caught.value.found) == refused
    else:
        assert set(merge(plan, tmp_path, options).not_finite) == {ROWS, BIAS}


def test_only_what_is_kept_decides(tmp_path: Path) -> None:
    """Moments that are dropped may be anything, in transformed.ckpt too, where they are counted all the same."""
    run = spoilt(small_run(tmp_path / "output"), MOMENT).write()
    manifest = merge(plan_of(run, transformed=True), tmp_path)
    assert manifest.not_finite == {}
    whole = manifest.files[0]
    assert whole.not_finite == {MOMENT: NotFinite(1, 2)}
    with pytest.raises(NotFiniteError, match=MOMENT):
        merge(plan_of(run, keep=[*Family]), tmp_path, force=True)


@pytest.mark.parametrize("value", (np.nan, np.inf))
def test_an_adapter_counts_by_what_it_makes_of_its_weight(tmp_path: Path, value: float) -> None:
    """The weight with it added is what is written; the ranks are those of the adapter."""
    run = Run(tmp_path / "output", 2)
    run.tensors = {
        "layer.weight": np.ones((4, 6), "float16"),
        "layer.mindpet_delta_lora_a": np.ones((2, 6), "float32"),
        "layer.mindpet_delta_lora_b": np.ones((4, 2), "float32"),
    }
    run.tensors["layer.mindpet_delta_lora_b"][3, 0] = value
    run.layouts = dict(zip(run.tensors, (Lay((2,), (0, -1)), Lay((2,), (-1, -1)), Lay((2,), (0, -1))), strict=True))
    plan = with_adapters(plan_of(run.write()), Lora.MERGE, LoraScale(4, 2))
    with pytest.raises(NotFiniteError, match=r"layer.weight \(6 (NaN|infinite), rank 1\)"):
        merge(plan, tmp_path)
    (count,) = merge(plan, tmp_path, ALL).not_finite.values()
    assert count.nan + count.infinite == 6


def test_asked_again_without_permission_it_is_refused(tmp_path: Path) -> None:
    """An output that is there is judged by its manifest's counts, and stays; with permission it is done already."""
    plan = plan_of(spoilt(small_run(tmp_path / "output"), ROWS).write())
    first = merge(plan, tmp_path, ALL)
    for force in (False, True):
        with pytest.raises(NotFiniteError, match=f"{ROWS} .*it is there already"):
            merge(plan, tmp_path, force=force)
        assert merge(plan, tmp_path, ALL, force=force) == first
    assert verify(tmp_path).ok


def test_a_manifest_from_before_the_counts(tmp_path: Path) -> None:
    """It is read, says nothing, and its output is not taken for one that was looked at."""
    run = spoilt(small_run(tmp_path / "output"), ROWS).write()
    merge(plan_of(run), tmp_path, ALL)
    uncount(tmp_path / NAME)
    manifest = read_manifest(tmp_path / NAME)
    assert not manifest.counted
    assert manifest.not_finite == {}
    assert verify(tmp_path).ok
    assert verify(tmp_path).not_finite == {ROWS: NotFinite(1, 2)}
    table = inspect(tmp_path)
    assert isinstance(table, OutputTable)
    assert table.files[0].not_finite is None
    with pytest.raises(OutputExistsError):
        merge(plan_of(run), tmp_path, ALL)
    assert merge(plan_of(run), tmp_path, ALL, force=True).counted


def uncount(path: Path) -> None:
    """Make a manifest what it was before it had counts."""
    manifest = json.loads(path.read_text())
    for each in manifest["files"][0]["parameters"]:
        del each["nan"], each["infinite"]
    path.write_text(json.dumps(manifest))


def test_verify_counts_again(tmp_path: Path) -> None:
    """What is as written is well, whatever it holds; a manifest that says otherwise is not."""
    merge(plan_of(spoilt(small_run(tmp_path / "output"), ROWS).write()), tmp_path, ALL)
    assert verify(tmp_path).not_finite == {ROWS: NotFinite(1, 2)}
    assert verify(tmp_path).ok
    text = (tmp_path / NAME).read_text()
    (tmp_path / NAME).write_text(text.replace('"nan": 1', '"nan": 0'))
    (problem,) = verify(tmp_path).problems
    assert problem.parameter == ROWS
    assert problem.what == "it holds 1 NaN, 2 infinite, but the manifest says 2 infinite"


def test_verify_without_hashes_says_what_the_manifest_says(tmp_path: Path) -> None:
    """Contents are not read then."""
    plan = plan_of(spoilt(small_run(tmp_path / "output"), ROWS).write())
    merge(plan, tmp_path, ALL, copy_options=CopyOptions(hashed=False))
    assert verify(tmp_path).not_finite == {ROWS: NotFinite(1, 2)}


def test_inspect_counts_in_a_file_when_asked(tmp_path: Path) -> None:
    """A shard is read whole for it, chunks and all; an output's manifest knows."""
    shard = tmp_path / "shard.ckpt"
    shard.write_bytes(
        record("w", (4,), "Float32", np.array([1, np.nan], "f4").tobytes())
        + record("w", (4,), "Float32", np.array([np.inf, 0], "f4").tobytes())
        + ckpt({"good": np.ones(3, "float16")})
    )
    plain, counted = inspect(shard), inspect(shard, count=True)
    assert isinstance(plain, CkptTable)
    assert isinstance(counted, CkptTable)
    assert plain.not_finite is None
    assert counted.not_finite == {"w": NotFinite(1, 1)}
    merge(plan_merge({0: walk(shard)}, None), tmp_path, ALL)
    output = inspect(tmp_path)
    assert isinstance(output, OutputTable)
    assert output.files[0].not_finite == {"w": NotFinite(1, 1)}
