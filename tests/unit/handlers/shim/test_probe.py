"""What a node says of itself, for `glmd doctor --slurm`."""

import importlib.metadata
import sys
from pathlib import Path

import pytest

from handlers.records.probe import Probe
from handlers.shim import probe


def looked(tmp_path: Path, training: str, *more: str) -> Probe:
    """Look at this host, with that interpreter for its trainings."""
    (tmp_path / "hccn.conf").write_text("address_0=192.168.100.101\n")
    hccn = ("--hccn-tool", str(tmp_path / "no_tool"), "--hccn-conf", str(tmp_path / "hccn.conf"))
    path = tmp_path / "n1.json"
    assert probe.main([str(path), "--training", training, "--devices", "2", *hccn, *more]) == 0
    return Probe.read(path)


def test_it_says_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that Slurm has for it; without importing what takes long."""
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    found = looked(tmp_path, sys.executable)
    assert (found.node, found.glmd) == ("n1", importlib.metadata.version("glmd"))
    assert found.training.startswith("3.")
    assert not found.training_problem
    assert found.addresses == 1
    assert found.address_problem.startswith("device 1: ")


@pytest.mark.parametrize(
    ("script", "told"),
    (
        (None, "cannot be run: No such file or directory"),
        ("echo bad; exit 3", "ended with code 3: bad"),
        ("exec sleep 600", "gave no answer in 0.3 s"),
    ),
)
def test_what_cannot_be_asked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, told: str
) -> None:
    """An interpreter that is not there, fails, or hangs; a broken npu-smi."""
    monkeypatch.setattr(probe, "PATIENCE", 0.3)
    for name in ("python", "npu-smi"):
        if script is not None:
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = looked(tmp_path, str(tmp_path / "python"))
    assert (found.training, found.training_problem) == ("", told)
    assert found.npu_problem == ("" if script is None else told)
    assert found.npu_smi == ("" if script is None else str(tmp_path / "npu-smi"))
