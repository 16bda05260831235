"""Promises of handlers.shards.contents: the content is the one a walk finds, though most shards are not walked."""

import json
import struct
from pathlib import Path

import pytest

from handlers.ckpt import CkptError, CkptFile, Fingerprint, walk
from handlers.shards import contents
from handlers.shards.contents import Contents
from tests.unit.handlers.ckpt.ckpt_writer import Run, ckpt, small_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collect what is walked."""
    paths: list[Path] = []

    def counted(path: Path) -> CkptFile:
        paths.append(path)
        return walk(path)

    monkeypatch.setattr(contents, "walk", counted)
    return paths


def test_shards_alike_have_one_content_and_the_first_is_walked(run: Run, walked: list[Path]) -> None:
    """Ranks differ in the tensors' bytes only; the fingerprint is each file's own."""
    contents = Contents()
    found = [contents.of(run.shard(rank)) for rank in range(4)]
    assert walked == [run.shard(0)]
    assert len({content for _, content in found}) == 1
    assert [read for read, _ in found] == [Fingerprint.of(run.shard(rank).stat()) for rank in range(4)]


def test_a_different_header_byte_is_found(run: Run) -> None:
    """Whatever byte outside the tensors is another's: a walk decides, and says what is wrong where something is."""
    contents = Contents()
    _, first = contents.of(run.shard(0))
    whole = run.shard(1).read_bytes()
    tensors = [extent for entry in first.file.entries.values() for extent in entry.extents]
    inside = {at for extent in tensors for at in range(extent.offset, extent.offset + extent.length)}
    outside = [at for at in range(len(whole)) if at not in inside]
    assert len(outside) > 300
    for at in outside[:: len(outside) // 100]:
        path = run.write_shard(1, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            _, content = contents.of(path)
        except CkptError:
            continue
        assert content.digest != first.digest
        assert content.file.path == path


def test_a_shard_of_another_size_is_walked(run: Run, walked: list[Path]) -> None:
    """One that is cut off between two records has the same beginning."""
    contents = Contents()
    contents.of(run.shard(0))
    slices = run.slices(1)
    del slices["epoch_num"]
    _, content = contents.of(run.write_shard(1, ckpt(slices)))
    assert "epoch_num" not in content.file.entries
    assert walked == [run.shard(0), run.shard(1)]


def test_the_order_of_entries_does_not_count(run: Run) -> None:
    """A merge takes entries by name."""
    contents = Contents()
    backwards = ckpt(dict(reversed(run.slices(1).items())))
    digests = {contents.of(path)[1].digest for path in (run.shard(0), run.write_shard(1, backwards))}
    assert len(digests) == 1


def test_a_file_with_a_checksum_is_walked_each_time(run: Run, walked: list[Path]) -> None:
    """The frame does not tell whether the checksum is that of the tensors."""
    contents = Contents()
    trailer = b"crc_num" + (7).to_bytes(10, "big")
    for rank in range(2):
        contents.of(run.write_shard(rank, run.shard(rank).read_bytes() + trailer))
    assert walked == [run.shard(0), run.shard(1)]


def test_safetensors_are_compared_too(tmp_path: Path, walked: list[Path]) -> None:
    """Their frame is the header."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    paths = [tmp_path / f"glm_rank_{rank}-1_1.safetensors" for rank in range(3)]
    for rank, path in enumerate(paths):
        path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", rank))
    contents = Contents()
    assert len({contents.of(path)[1] for path in paths}) == 1
    assert walked == paths[:1]


def test_what_no_shard_has_is_forgotten(run: Run, walked: list[Path]) -> None:
    """A tree that is followed for weeks must not fill the memory."""
    contents = Contents()
    _, content = contents.of(run.shard(0))
    contents.keep({content.digest})
    contents.of(run.shard(1))
    assert walked == [run.shard(0)]
    contents.keep(set())
    contents.of(run.shard(2))
    assert walked == [run.shard(0), run.shard(2)]
