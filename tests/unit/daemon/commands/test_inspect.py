"""Promises of `glmd inspect`."""

import json
from pathlib import Path

import pytest

from tests.unit.daemon.commands.conftest import Site
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


def test_a_checkpoint_is_a_table_of_its_entries(site: Site, run: Run) -> None:
    """Shape, type and bytes of each, and how many of which family."""
    done = site.glmd("inspect", run.shard(0))
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("layers.0.query_key_value.weight"))
    assert line.split()[1:] == ["[6,", "8]", "Float16", "96", "1", "weights"]
    assert "10 entries" in done.stdout.splitlines()[-1]


def test_a_strategy_file_is_a_table_of_its_layouts(site: Site, run: Run) -> None:
    """Device matrix and tensor map of each parameter."""
    printed = site.glmd("inspect", run.strategy).stdout
    line = next(line for line in printed.splitlines() if line.startswith("layers.0.dense_4h_to_h.weight"))
    assert line.split()[1:] == ["[4]", "[-1,", "0]", "none"]


def test_json_says_what_it_is(site: Site, run: Run) -> None:
    """The documented keys, for programs."""
    checkpoint = json.loads(site.glmd("inspect", run.shard(0), "--json").stdout)
    assert (checkpoint["kind"], checkpoint["size"]) == ("checkpoint", run.shard(0).stat().st_size)
    assert list(checkpoint["rows"][0]) == ["name", "dims", "type", "bytes", "chunks", "family"]
    strategy = json.loads(site.glmd("inspect", run.strategy, "--json").stdout)
    assert (strategy["kind"], strategy["stages"]) == ("strategy", [0])
    assert list(strategy["rows"][0]) == ["name", "dev_matrix", "tensor_map", "optimizer_shards"]


def test_a_file_that_is_neither_is_refused(site: Site, tmp_path: Path) -> None:
    """Garbage: 3 and a reason. Nothing there, or a kind for later: 2."""
    garbage = tmp_path / "garbage.ckpt"
    garbage.write_bytes(b"\xffgarbage")
    assert site.glmd("inspect", garbage).returncode == 3
    later = tmp_path / "model.safetensors"
    later.write_bytes(b"")
    done = site.glmd("inspect", later)
    assert done.returncode == 2
    assert "not in this version" in done.stderr
    assert site.glmd("inspect", tmp_path / "none.ckpt").returncode == 2
