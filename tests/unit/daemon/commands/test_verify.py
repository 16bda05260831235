"""Promises of `glmd verify`."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.unit.daemon.commands.conftest import Site
from tests.unit.handlers.ckpt.ckpt_writer import small_run

FILE = "filtered_transformed.ckpt"


@pytest.fixture
def merged(site: Site, tmp_path: Path) -> Path:
    """Four ranks' shards, merged."""
    run = small_run(tmp_path / "output").write()
    words = ("--src-checkpoints-dir", run.source, "--dst-checkpoints-dir", tmp_path / "merged")
    assert site.glmd("merge", *words).returncode == 0
    return tmp_path / "merged"


def damage(merged: Path) -> None:
    """Flip a bit in the last parameter."""
    content = bytearray((merged / FILE).read_bytes())
    content[-1] ^= 1
    (merged / FILE).chmod(0o600)
    (merged / FILE).write_bytes(content)


def test_what_was_written_is_well(site: Site, merged: Path) -> None:
    """Exit code 0 and how much was compared."""
    done = site.glmd("verify", merged)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{merged}: 1 file, 8 parameters, 1.7 kB: every byte is as manifest.json says")


def test_damage_is_named(site: Site, merged: Path) -> None:
    """Exit code 1, the file and the parameter; MindSpore is not asked any more."""
    damage(merged)
    done = site.glmd("verify", merged, "--deep", GLMD_TRAINING__PYTHON=sys.executable)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{FILE}: epoch_num: its bytes are not those that were written")
    assert "differs from its manifest: 1 problem" in done.stdout


def test_json_for_programs(site: Site, merged: Path) -> None:
    """The documented keys."""
    damage(merged)
    found = json.loads(site.glmd("verify", merged, "--json").stdout)
    keys = ["ok", "path", "files", "parameters", "bytes", "hashed", "mindspore", "not_finite", "problems"]
    assert list(found) == keys
    assert (found["ok"], found["files"], found["parameters"]) == (False, [FILE], 8)
    assert [(each["file"], each["parameter"]) for each in found["problems"]] == [(FILE, "epoch_num")]


def test_what_is_not_finite_is_said(site: Site, tmp_path: Path) -> None:
    """It was allowed to be written, so that the exit code is 0."""
    run = small_run(tmp_path / "diverging")
    run.tensors["layers.0.query_key_value.bias"][3] = np.nan
    words = ("--src-checkpoints-dir", run.write().source, "--dst-checkpoints-dir", tmp_path / "diverged")
    assert site.glmd("merge", *words, "--allow-not-finite").returncode == 0
    done = site.glmd("verify", tmp_path / "diverged")
    assert done.returncode == 0
    assert done.stdout.startswith("1 parameter holds NaN or infinity: layers.0.query_key_value.bias (1 NaN)\n")
    found = json.loads(site.glmd("verify", tmp_path / "diverged", "--json").stdout)
    assert found["not_finite"] == {"layers.0.query_key_value.bias": {"nan": 1, "infinite": 0}}


def test_nothing_to_verify(site: Site, merged: Path) -> None:
    """No manifest: 2. One that is none: 3."""
    assert site.glmd("verify", merged.parent).returncode == 2
    (merged / "manifest.json").chmod(0o600)
    (merged / "manifest.json").write_bytes(b"{}")
    assert site.glmd("verify", merged).returncode == 3


def test_deep_needs_an_interpreter(site: Site, merged: Path) -> None:
    """One that is not there is bad input; one without MindSpore fails with its last words."""
    done = site.glmd("verify", merged, "--deep", GLMD_TRAINING__PYTHON="/none")
    assert done.returncode == 2
    assert "training.python: /none is no interpreter" in done.stderr
    done = site.glmd("verify", merged, "--deep", GLMD_TRAINING__PYTHON=sys.executable, PYTHONPATH=os.devnull)
    assert done.returncode == 1
    assert "No module named 'mindspore'" in done.stderr
