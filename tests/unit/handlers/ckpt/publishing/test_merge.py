"""Promises of handlers.ckpt.publishing.merge: the right bytes, whole or not at all, and once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import (
    Format,
    InconsistentError,
    OutputExistsError,
    OutputOptions,
    merge,
    plan_merge,
    read_manifest,
    read_strategy,
    walk,
)
from handlers.ckpt.copying import copy as copying
from handlers.ckpt.planning.output import FILTERED
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, ckpt, record, small_run, strategy
from tests.unit.handlers.ckpt.merging import merge_run, names

COLUMNS = "layers.0.dense_4h_to_h.weight"


@pytest.mark.parametrize("dev_matrix", ((1,), (2,), (4,), (8,), (2, 4), (2, 2, 2)))
def test_the_output_is_the_run_put_together(tmp_path: Path, dev_matrix: tuple[int, ...]) -> None:
    """Model parallel, with data parallel replicas too: the file equals, byte for byte, the whole tensors saved."""
    run = small_run(tmp_path / "output", dev_matrix).write()
    merge_run(run, tmp_path)
    assert (tmp_path / FILTERED).read_bytes() == run.merged()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_layout_is_put_together(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever tensor_map over whatever dev_matrix: numpy splits, the merge restores."""
    dev_matrix = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    run = Run(tmp_path_factory.mktemp("run"), int(np.prod(dev_matrix)))
    for index in range(data.draw(st.integers(1, 4))):
        ndim = data.draw(st.integers(0, 4))
        axes = data.draw(st.permutations([*range(len(dev_matrix)), *[-1] * 4]))[:ndim]
        dims = [data.draw(st.integers(1, 3)) * (1 if axis < 0 else dev_matrix[-1 - axis]) for axis in axes]
        kind = data.draw(st.sampled_from(["float16", "float32", "int64", "bool"]))
        count = int(np.prod(dims))
        tensor = (np.arange(count) % 2 if kind == "bool" else np.arange(count)).astype(kind).reshape(dims)
        run.tensors[f"p{index}"] = tensor if dims or kind != "bool" else tensor.reshape(1)
        run.layouts[f"p{index}"] = Lay(dev_matrix, axes if dims or kind != "bool" else [-1])
    merge_run(run.write(), run.source)
    assert (run.source / FILTERED).read_bytes() == run.merged()


@pytest.mark.parametrize("buffer", (1, 7, 64, 1000))
def test_the_size_of_the_buffer_does_not_matter(
    run: Run, tmp_path: Path, buffer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces smaller and larger than the buffer come out the same."""
    monkeypatch.setattr(copying, "BUFFER", buffer)
    monkeypatch.setattr("handlers.ckpt.files.target.BLOCK", 1)
    monkeypatch.setattr(os, "O_DIRECT", os.O_DIRECTORY)  # refused: blocks are no longer of a size for it
    merge_run(run, tmp_path)
    assert (tmp_path / FILTERED).read_bytes() == run.merged()


def test_rows_of_more_pieces_than_one_system_call_takes(tmp_path: Path) -> None:
    """Thousands of rows are read in several calls."""
    run = Run(tmp_path / "output", 2)
    run.tensors["w"] = np.arange(20_000, dtype="int32").reshape(5000, 4)
    run.layouts["w"] = Lay((2,), (-1, 0))
    merge_run(run.write(), tmp_path)
    assert (tmp_path / FILTERED).read_bytes() == run.merged()


@pytest.mark.parametrize("tensor_map", ((0, -1), (-1, 0)))
def test_chunked_shards_are_joined(tmp_path: Path, tensor_map: tuple[int, ...]) -> None:
    """A slice whose bytes lie in three records, cut anywhere, is one slice."""
    run = Run(tmp_path / "output", 2)
    run.tensors["w"] = np.arange(60, dtype="int32").reshape(6, 10)
    run.layouts["w"] = Lay((2,), tensor_map)
    run.write()
    for rank in range(2):
        part = run.slices(rank)["w"]
        content = part.tobytes()
        chunks = [content[:28], content[28:76], content[76:]]
        run.write_shard(rank, b"".join(record("w", part.shape, "Int32", chunk) for chunk in chunks))
    merge_run(run, tmp_path)
    assert (tmp_path / FILTERED).read_bytes() == run.merged()


def test_large_outputs_are_chunked(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merged tensor over the limit is cut into records of one name, which join to the tensor."""
    monkeypatch.setattr("handlers.ckpt.formats.record.CHUNK", 100)
    merge_run(run, tmp_path)
    entry = walk(tmp_path / FILTERED).entries[COLUMNS]
    content = (tmp_path / FILTERED).read_bytes()
    joined = b"".join(content[each.offset : each.offset + each.length] for each in entry.extents)
    assert joined == run.tensors[COLUMNS].tobytes()
    assert len(entry.extents) == 6


@pytest.mark.parametrize(("scalar", "lengths"), (((0,), [16, 16, 16]), ((), [20, 20, 8])))
def test_chunks_are_cut_as_by_the_mindspore_of_the_shards(
    scalar: tuple[int, ...], lengths: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.0, which writes the shape of a scalar as [0], cuts equal chunks; newer ones, which write [], cut full ones."""
    monkeypatch.setattr("handlers.ckpt.formats.record.CHUNK", 20)
    shard = tmp_path / "shard.ckpt"
    shard.write_bytes(record("w", (12,), "Int32", bytes(48)) + record("step", scalar, "Int32", bytes(4)))
    merge(plan_merge({0: walk(shard)}, None), tmp_path)
    assert [extent.length for extent in walk(tmp_path / FILTERED).entries["w"].extents] == lengths


def test_data_parallel_runs_need_no_strategy(tmp_path: Path) -> None:
    """Each rank holds everything: rank 0's is filtered, once the others were found equal."""
    run = small_run(tmp_path / "output")
    run.layouts = {}
    merge_run(run.write(), tmp_path)
    assert (tmp_path / FILTERED).read_bytes() == run.merged()


def test_replicas_that_differ_are_refused(tmp_path: Path) -> None:
    """Of dp 2 x mp 2, rank 3's slice must equal rank 1's; a single bit is noticed, and nothing is left."""
    run = small_run(tmp_path / "output", (2, 2)).write()
    slices = run.slices(3)
    slices[COLUMNS] = slices[COLUMNS].copy()
    slices[COLUMNS].view("uint16")[-1, -1] ^= 1
    run.write_shard(3, ckpt(slices))
    (tmp_path / "merged").mkdir()
    with pytest.raises(
        InconsistentError, match=rf"rank_3-31_4\.ckpt: {COLUMNS}: it differs from that of .*rank_1.*must be equal"
    ):
        merge_run(run, tmp_path / "merged")
    assert names(tmp_path / "merged") == []


def test_the_strategy_of_a_replicated_run_is_refused(run: Run, tmp_path: Path) -> None:
    """Were it believed, rank 0's slice would be written as the whole parameter."""
    run.layouts = {name: Lay((4,), (-1,) * len(lay.tensor_map)) for name, lay in run.layouts.items()}
    run.strategy.write_bytes(strategy(run.layouts))
    with pytest.raises(InconsistentError, match=r"embedding_table: it differs .* by the strategy both must be equal"):
        merge_run(run, tmp_path)


@pytest.mark.parametrize("left_out", (COLUMNS, "layers.0.query_key_value.bias"))
def test_a_split_parameter_in_no_strategy_is_refused(run: Run, tmp_path: Path, left_out: str) -> None:
    """A LoRA run's strategy names only what it trains; its frozen slices are not taken for whole weights."""
    run.strategy.write_bytes(strategy({name: lay for name, lay in run.layouts.items() if name != left_out}))
    with pytest.raises(
        InconsistentError, match=rf"rank_1-31_4\.ckpt: {left_out}: it differs .*no strategy names it.*--layout-from"
    ):
        merge_run(run, tmp_path)


def test_scalars_that_differ_are_refused(run: Run, tmp_path: Path) -> None:
    """Ranks at different steps were not saved together; a single value is no slice of anything."""
    run.write_shard(2, ckpt(run.slices(2) | {"global_step": np.array([120], "int32")}))
    with pytest.raises(InconsistentError, match=r"global_step: it differs .* a single value: .*different steps"):
        merge_run(run, tmp_path)


def test_a_shard_that_changed_since_it_was_planned_with_is_refused(run: Run, tmp_path: Path) -> None:
    """Offsets found in one file are never used on another."""
    shards = {rank: walk(run.shard(rank)) for rank in range(4)}
    plan = plan_merge(shards, read_strategy(run.strategy))
    run.write_shard(2, ckpt(run.slices(1)))
    with pytest.raises(InconsistentError, match=r"rank_2-31_4\.ckpt changed while it was merged"):
        merge(plan, tmp_path)


@pytest.mark.parametrize("size", (0, 400))
def test_a_shard_that_changes_while_it_is_merged_is_refused(run: Run, tmp_path: Path, size: int) -> None:
    """Whether it shrinks below what is needed or is merely touched: no output."""
    shards = {rank: walk(run.shard(rank)) for rank in range(4)}
    plan = plan_merge(shards, read_strategy(run.strategy))
    calls: list[int] = []

    def meddle(_done: int, _all: int) -> None:
        if not calls:
            os.truncate(run.shard(2), size) if size == 0 else os.utime(run.shard(2))
        calls.append(1)

    (tmp_path / "merged").mkdir()
    with pytest.raises(InconsistentError, match=r"rank_2-31_4\.ckpt (changed|became shorter)"):
        merge(plan, tmp_path / "merged", progress=meddle)
    assert names(tmp_path / "merged") == []


def test_the_manifest_says_what_was_merged(run: Run, tmp_path: Path) -> None:
    """Every parameter with shape, type, bytes and hash; every source as it was; what was dropped; the tools."""
    merge_run(run, tmp_path)
    manifest = read_manifest(tmp_path / "manifest.json")
    assert [each.name for each in manifest.parameters] == list(walk(tmp_path / FILTERED).entries)
    for each in manifest.parameters:
        tensor = run.tensors[each.name]
        assert (each.dims, each.bytes) == (tensor.shape or (0,), tensor.nbytes)
        assert each.hash == xxhash.xxh3_128_hexdigest(tensor.tobytes())
    assert {rank: source.size for rank, source in manifest.sources.items()} == {
        rank: run.shard(rank).stat().st_size for rank in range(4)
    }
    assert [each.path for each in manifest.strategies] == [str(run.strategy)]
    assert (manifest.prefix, manifest.tag, manifest.entries_in) == ("glm-6b", "31_4", 10)
    assert manifest.unlaid == ("scale_sense", "global_step", "epoch_num")
    assert set(manifest.tools) == {"glmd", "python", "xxhash"}


@pytest.mark.parametrize("options", (OutputOptions(), OutputOptions(Format.SAFETENSORS, 500)))
def test_progress_ends_with_all_bytes(run: Run, tmp_path: Path, options: OutputOptions) -> None:
    """The last report says that everything is written, in one file or several."""
    reports: list[tuple[int, int]] = []
    shards = {rank: walk(run.shard(rank)) for rank in range(4)}
    plan = plan_merge(shards, read_strategy(run.strategy))
    manifest = merge(plan, tmp_path, options, progress=lambda done, of: reports.append((done, of)))
    assert reports == sorted(reports)
    assert reports[-1] == (sum((tmp_path / file.name).stat().st_size for file in manifest.files),) * 2


def test_done_twice_is_done_once(run: Run, tmp_path: Path) -> None:
    """Over the same shards nothing is written again, and the same manifest returned."""
    first = merge_run(run, tmp_path)
    assert merge_run(run, tmp_path) == first
    assert (tmp_path / FILTERED).stat().st_ino == first.files[0].inode


def test_another_output_is_not_replaced_unless_asked(run: Run, tmp_path: Path) -> None:
    """Somebody's file stays as it is; with force it is replaced, manifest too."""
    (tmp_path / FILTERED).write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"filtered_transformed\.ckpt exists already"):
        merge_run(run, tmp_path)
    assert (tmp_path / FILTERED).read_bytes() == b"precious"
    merge_run(run, tmp_path, force=True)
    run.write_shard(1, run.shard(1).read_bytes())
    with pytest.raises(OutputExistsError):
        merge_run(run, tmp_path)
    again = merge_run(run, tmp_path, force=True)
    assert read_manifest(tmp_path / "manifest.json") == again
    assert (tmp_path / FILTERED).read_bytes() == run.merged()


def test_an_output_that_was_changed_is_not_taken_for_done(run: Run, tmp_path: Path) -> None:
    """A manifest speaks only of the very file that it was written for."""
    merge_run(run, tmp_path)
    with (tmp_path / FILTERED).open("r+b") as stream:
        stream.write(b"x")
    with pytest.raises(OutputExistsError):
        merge_run(run, tmp_path)


def test_more_ranks_than_files_may_be_open_at_first(tmp_path: Path) -> None:
    """A soft limit, 1024 by default, is raised; a hard one is named."""
    run = Run(tmp_path / "output", 40)
    run.tensors["w"] = np.arange(80, dtype="int32").reshape(40, 2)
    run.layouts["w"] = Lay((40,), (0, -1))
    run.write()
    script = f"""
import resource, sys
from pathlib import Path
from handlers.ckpt import merge, open_set
plan = open_set(sys.argv[2:], [{str(run.strategy)!r}]).plan()
limits = [int(each) for each in sys.argv[1].split(",")]
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
merge(plan, Path({str(tmp_path)!r}))
"""

    def limited(limits: str) -> str:
        words = [sys.executable, "-c", script, limits, *(str(run.shard(rank)) for rank in range(40))]
        return subprocess.run(words, capture_output=True, text=True, check=False).stderr

    assert "the shards of 40 ranks are read at once, but only 30 files may be open" in limited("30,30")
    assert not limited("30,200")
    assert (tmp_path / FILTERED).read_bytes() == run.merged()


def test_names_that_are_no_utf8_do_not_stop_the_manifest(run: Run, tmp_path: Path) -> None:
    """JSON cannot have them; they are written as escapes, and the merge is known again."""
    source = tmp_path / os.fsdecode(b"caf\xe9")
    run.source.rename(source)
    run.source = source
    merge_run(run, tmp_path)
    manifest = read_manifest(tmp_path / "manifest.json")
    assert r"caf\xe9" in manifest.sources[0].path
    assert merge_run(run, tmp_path) == manifest
