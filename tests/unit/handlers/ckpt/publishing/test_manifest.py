"""Promises of handlers.ckpt.publishing.manifest: what is no manifest is refused by our own error."""

import json
from pathlib import Path

import pytest

from handlers.ckpt import DamagedFileError, merge, plan_merge, read_manifest, walk
from tests.unit.handlers.ckpt.ckpt_writer import Write, record


@pytest.mark.parametrize("content", (b"", b"{}", b"[1]", b'{"format": 1}', b"\xff"))
def test_what_is_no_manifest_is_refused(written: Write, content: bytes) -> None:
    """Empty, half and foreign files name themselves."""
    with pytest.raises(DamagedFileError, match=r"manifest\.json: [^:].*it is no manifest of glmd"):
        read_manifest(written(content, "manifest.json"))


@pytest.mark.parametrize("name", ("../shard.ckpt", "/etc/passwd", "..", ".", "", "a/b", "a\0b"))
def test_a_manifest_speaks_only_of_files_beside_it(written: Write, tmp_path: Path, name: str) -> None:
    """What it names is read by verify, and removed by a merge that replaces it."""
    shard = written(record("w", (1,), "Int32", bytes(4)))
    merge(plan_merge({0: walk(shard)}, None), tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_bytes())
    content["files"][0]["name"] = name
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DamagedFileError, match="is not the name of a file beside it"):
        read_manifest(tmp_path / "manifest.json")


def test_it_counts_what_was_dropped_by_family_and_by_prefix(written: Write, tmp_path: Path) -> None:
    """A manifest of before, which has the first count only, can be read as well."""
    names = ("w", "adam_m.w", "exp_avg.w", "exp_avg_sq_row_w", "exp_avg_sq.w", "ema.w")
    shard = written(b"".join(record(name, (2,), "Int32", bytes(8)) for name in names))
    merge(plan_merge({0: walk(shard)}, None), tmp_path)
    path = tmp_path / "manifest.json"
    manifest = read_manifest(path)
    assert manifest.dropped == {"optimizer": 4, "ema": 1}
    assert manifest.dropped_by_prefix == dict.fromkeys(("adam_m", "exp_avg", "exp_avg_sq_row", "exp_avg_sq", "ema"), 1)
    content = json.loads(path.read_bytes())
    del content["dropped_by_prefix"]
    path.write_text(json.dumps(content))
    assert read_manifest(path).dropped == manifest.dropped
    assert read_manifest(path).dropped_by_prefix == {}
