"""Trainings on two nodes whose root is on a file system that tells of new names late."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.negative_cache import negative_cache
from tests.slurm.test_training import drop, exit_of, gated, runs_of, until_gate

pytestmark = pytest.mark.slurm


def preload(house: House, place: Path) -> None:
    """Let the daemon and each node have a cache of absent names of its own."""
    variables = negative_cache(place, house.root)
    house.daemon_environment |= variables
    slurm = house.settings["slurm"]
    assert isinstance(slurm, dict)
    slurm["prologue"] += "".join(f"\nexport {name}={value}" for name, value in variables.items())


def test_an_absent_name_stays_absent_until_its_directory_is_listed(tmp_path: Path) -> None:
    """What the other tests here rest on."""
    path = tmp_path / "root" / "name"
    path.parent.mkdir()
    script = f"""
import os, subprocess
print(os.path.exists({str(path)!r}))
subprocess.run(["touch", {str(path)!r}], env={{"PATH": os.environ["PATH"]}}, check=True)
print(os.path.exists({str(path)!r}), os.listdir({str(path.parent)!r}), os.path.exists({str(path)!r}))
"""
    environment = {"PATH": os.environ["PATH"], **negative_cache(tmp_path / "cache", path.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\nFalse ['name'] True\n"


def test_what_other_hosts_make_is_seen_at_once(house: House, cluster: Cluster, tmp_path: Path) -> None:
    """From the inbox to the published output, as on a file system of this host: nothing is taken for missing."""
    preload(house, tmp_path / "cache")
    gated(house)
    house.start()
    drop(house)
    until_gate(house)
    steps = house.directory().step(1, Step.TRAIN).path / "steps.jsonl"
    house.wait(lambda: steps.exists() and '"e":30,' in steps.read_text(), "the record of what n2 has logged")
    house.gate.touch()
    job = house.until(State.DONE)
    assert (job.attempt, len(runs_of(cluster))) == (1, 1)
    assert exit_of(house).reason == ""
    assert (tmp_path / "cache" / "n2").exists()
