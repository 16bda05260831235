"""Promises of ckpt.looking.verify: whatever became of an output since it was written, it is found and named."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import (
    CopyOptions,
    DamagedFileError,
    Format,
    OutputOptions,
    merge,
    open_set,
    plan_merge,
    read_strategy,
    walk,
)
from handlers.ckpt.files import transfer as transferring
from handlers.ckpt.looking.verify import verify
from tests.unit.handlers.ckpt.ckpt_writer import Array, Run, ckpt

FILE = "filtered_transformed.ckpt"
NORM = "layers.0.layernorm.gamma"


@pytest.fixture
def merged(run: Run, tmp_path: Path) -> Path:
    """Four ranks' shards, merged."""
    return merge_run(run, tmp_path / "merged")


def merge_run(run: Run, destination: Path, *, hashed: bool = True) -> Path:
    """Merge a written run."""
    destination.mkdir()
    shards = {rank: walk(run.shard(rank)) for rank in range(run.ranks)}
    merge(plan_merge(shards, read_strategy(run.strategy)), destination, copy_options=CopyOptions(hashed=hashed))
    return destination


def rewrite(merged: Path, change: Callable[[dict[str, Array]], dict[str, Array]], run: Run) -> None:
    """Replace the output by one with other tensors."""
    names = walk(merged / FILE).entries
    (merged / FILE).chmod(0o600)
    (merged / FILE).write_bytes(ckpt(change({name: run.tensors[name] for name in names})))


def problems(merged: Path) -> list[str]:
    """Return what verify finds."""
    found = verify(merged)
    assert found.ok == (not found.problems)
    return [str(problem) for problem in found.problems]


def test_what_was_just_written_is_well(merged: Path) -> None:
    """Also when it was copied elsewhere: times and inodes are not the checkpoint."""
    assert verify(merged).hashed
    assert problems(merged) == []
    assert problems(shutil.copytree(merged, merged.with_name("copied"))) == []


def test_every_flipped_bit_is_found_and_its_parameter_named(merged: Path) -> None:
    """In the first, a middle and the last byte of any parameter."""
    content = (merged / FILE).read_bytes()
    for name, entry in walk(merged / FILE).entries.items():
        extent = entry.extents[0]
        for at in (0, extent.length // 2, extent.length - 1):
            damaged = bytearray(content)
            damaged[extent.offset + at] ^= 1
            (merged / FILE).write_bytes(damaged)
            (found,) = problems(merged)
            assert found.startswith(f"{FILE}: {name}: its bytes are not those that were written")


def test_every_cut_is_found(merged: Path) -> None:
    """Wherever the file ends early: between two records or inside one; and bytes too many."""
    content = (merged / FILE).read_bytes()
    for size in range(0, len(content), 7):
        (merged / FILE).write_bytes(content[:size])
        assert problems(merged)[0].startswith(f"{FILE}: it has {size} bytes, but {len(content)} were written")
    (merged / FILE).write_bytes(content + b"\0")
    assert problems(merged)[0].startswith(f"{FILE}: it has {len(content) + 1} bytes")


def test_a_missing_file_is_named(merged: Path) -> None:
    """And one that is no file any more."""
    (merged / FILE).unlink()
    assert problems(merged) == [f"{FILE}: it is missing"]
    (merged / FILE).mkdir()
    assert problems(merged) == [f"{FILE}: {merged / FILE} is no regular file (drwxr-xr-x)"]


def test_other_names_are_found(merged: Path, run: Run) -> None:
    """A parameter that is gone, and one that came."""
    rewrite(merged, lambda tensors: {("new" if name == NORM else name): each for name, each in tensors.items()}, run)
    _, came, gone = problems(merged)
    assert came == f"{FILE}: new: it is in the file, but not in the manifest"
    assert gone == f"{FILE}: {NORM}: it is missing"


def test_another_shape_or_type_is_found(merged: Path, run: Run) -> None:
    """Even where the bytes are the same."""
    rewrite(merged, lambda tensors: tensors | {NORM: tensors[NORM].view("int32").reshape(2, 4)}, run)
    assert f"{FILE}: {NORM}: it is Int32[2, 4], but Float32[8] was written" in problems(merged)


def test_another_order_is_found(merged: Path, run: Run) -> None:
    """MindSpore's own order is promised, so it is checked."""
    rewrite(merged, lambda tensors: dict(reversed(tensors.items())), run)
    first = next(iter(walk(merged / FILE).entries))
    assert problems(merged) == [f"{FILE}: {first}: it is not where it was written: the order has changed"]


def test_a_disk_that_cannot_read_is_named_with_the_parameter(merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bad block does not hide what else there is to say."""
    bad = walk(merged / FILE).entries[NORM].extents[0].offset
    preadv = os.preadv

    def failing(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if offset == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(transferring.os, "preadv", failing)
    assert problems(merged) == [f"{FILE}: {NORM}: it cannot be read: Input/output error"]


def test_without_hashes_only_headers_are_compared(run: Run, tmp_path: Path) -> None:
    """And the result says so."""
    merged = merge_run(run, tmp_path / "merged", hashed=False)
    rewrite(merged, lambda tensors: tensors | {NORM: np.zeros(8, "float32")}, run)
    assert not verify(merged).hashed
    assert problems(merged) == []


def test_without_a_manifest_nothing_is_said(tmp_path: Path) -> None:
    """No directory of ours, or one whose manifest is damaged."""
    with pytest.raises(FileNotFoundError):
        verify(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"{}")
    with pytest.raises(DamagedFileError, match=r"manifest\.json"):
        verify(tmp_path)


@pytest.fixture
def several(run: Run, tmp_path: Path) -> Path:
    """Merge into safetensors of one parameter or a few each, with an index."""
    (tmp_path / "several").mkdir()
    plan = open_set([run.shard(rank) for rank in range(4)], [run.strategy]).plan()
    options = OutputOptions(Format.SAFETENSORS, max_shard_size=500)
    assert len(merge(plan, tmp_path / "several", options).files) > 2
    return tmp_path / "several"


def test_safetensors_in_several_files_are_verified(several: Path) -> None:
    """Each bit of each tensor, as in a .ckpt."""
    assert problems(several) == []
    path = several / walk_all(several)[NORM]
    content = bytearray(path.read_bytes())
    content[walk(path).entries[NORM].extents[0].offset] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    assert problems(several)[0].startswith(f"{path.name}: {NORM}: its bytes are not those that were written")


def walk_all(directory: Path) -> dict[str, str]:
    """Return which file each parameter is in."""
    return {name: path.name for path in directory.glob("*.safetensors") for name in walk(path).entries}


@pytest.mark.parametrize(
    ("content", "problem"),
    (
        (None, "it is missing"),
        (b"{", "it cannot be read: "),
        (b"[" * 100_000, "it cannot be read: "),
        (b"[]", "it has no weight_map"),
        (b"{}", "it has no weight_map"),
    ),
)
def test_an_index_that_is_none(several: Path, content: bytes | None, problem: str) -> None:
    """Without it no loader finds the files."""
    index = several / "model.safetensors.index.json"
    index.unlink()
    if content is not None:
        index.write_bytes(content)
    (found,) = problems(several)
    assert found.startswith(f"{index.name}: {problem}")


def test_an_index_that_is_wrong(several: Path) -> None:
    """A parameter that it places elsewhere, leaves out, or makes up."""
    index = several / "model.safetensors.index.json"
    content = json.loads(index.read_bytes())
    where = content["weight_map"]
    where["made_up"] = where.pop("epoch_num")
    where[NORM] = "model-00009-of-00009.safetensors"
    index.chmod(0o600)
    index.write_text(json.dumps(content))
    assert problems(several) == [
        f"{index.name}: epoch_num: it is in {walk_all(several)['epoch_num']}, but the index says None",
        f"{index.name}: {NORM}: it is in {walk_all(several)[NORM]}, but the index says {where[NORM]}",
        f"{index.name}: made_up: no file has it, but the index says {where['made_up']}",
    ]


def test_files_of_another_output_are_found(several: Path, run: Run, tmp_path: Path) -> None:
    """A loader of a directory reads every safetensors file in it, and an index before any single file."""
    shutil.copy(next(several.glob("*.safetensors")), several / "other.safetensors")
    assert problems(several) == [
        "other.safetensors: it is of another output: a loader of the directory would read it too"
    ]
    (tmp_path / "single").mkdir()
    plan = open_set([run.shard(rank) for rank in range(4)], [run.strategy]).plan()
    merge(plan, tmp_path / "single", OutputOptions(Format.SAFETENSORS))
    shutil.copy(several / "model.safetensors.index.json", tmp_path / "single")
    (found,) = problems(tmp_path / "single")
    assert found.endswith("it is of another output: this one is a single file and needs none")


def test_progress_ends_with_what_was_read(merged: Path) -> None:
    """The last report says that all content was read."""
    reports: list[tuple[int, int]] = []
    found = verify(merged, lambda done, of: reports.append((done, of)))
    assert reports == sorted(reports)
    assert reports[-1] == (sum(each.bytes for each in found.manifest.parameters),) * 2
