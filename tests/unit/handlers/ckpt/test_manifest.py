"""Promises of handlers.ckpt.manifest: what is no manifest is refused by our own error."""

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
