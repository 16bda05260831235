"""Merges as jobs of a real Slurm: killed, cancelled, past their time, and on a node that is lost."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir, Owner
from handlers.records.step_exit import Outcome, StepExit
from tests.acceptance.house import House
from tests.held_merge import held_by, is_held, published
from tests.slurm.cluster import Cluster
from tests.slurm.house import section
from tests.slurm.test_training import drop, reasons, runs_of

pytestmark = pytest.mark.slurm

LIMIT = 180.0
"""Seconds in which a limit of one minute has come: Slurm looks now and then only."""


@pytest.fixture
def merging(house: House, tmp_path: Path) -> House:
    """Return a house whose merges are jobs, as they are unless the settings say otherwise, and wait at the gate."""
    slurm = section(house)
    del slurm["merge"]
    slurm["prologue"] = f"case $SLURM_JOB_NAME in *-merge) export PYTHONPATH={held_by(house.gate, tmp_path)};; esac"
    return house


def merge_of(house: House, number: int = 1) -> NodesDir:
    """Return where the present merge of a job has its records."""
    return NodesDir(house.directory(number).step(house.job(number).attempt, Step.MERGE))


def until_held(house: House, number: int = 1) -> Owner:
    """Wait until a merge has written all but its manifest; return who does it."""
    house.until(State.MERGING, number)
    records, merged = merge_of(house, number), house.directory(number).merged
    house.wait(lambda: records.owner.exists() and is_held(merged), "the held merge")
    return Owner.read(merge_of(house, number).owner)


def test_a_merge_is_a_job_that_is_repeated_when_killed_and_ended_when_cancelled(
    merging: House, cluster: Cluster, tmp_path: Path
) -> None:
    """It has one node and no device. Nothing of it is to be seen before it is whole; it is as one of this host."""
    house = merging
    house.start()
    drop(house)
    drop(house, "second", "  launcher: cluster\n  priority: 1\n")
    until_held(house, 2)
    first = until_held(house)
    assert cluster.run("squeue", "-h", "-j", first.job, "-o", "%D %C %m %b").split() == ["1", "4", "2G", "N/A"]
    told = f"Slurm job {first.job} merges on {first.nodelist}"
    house.wait(lambda: house.job().reason == told, "where it merges")
    assert house.run("doctor", "--state").stdout.count("job 1") == 0
    os.kill(first.pid, signal.SIGKILL)
    assert house.run("cancel", "2").returncode == 0
    house.until(State.CANCELLED, 2)
    ended = StepExit.read(house.directory(2).step(1, Step.MERGE).exit)
    assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, "stopped by glmd cancel")
    assert published(house.directory(2).merged) == []
    house.wait(lambda: house.job().attempt == 2, "the second merge")
    assert published(house.directory().merged) == []
    assert any("merges again after: Slurm says FAILED" in one for one in reasons(house))
    until_held(house)
    house.gate.touch()
    house.until(State.DONE)
    assert sorted(name[-12:] for name, _ in runs_of(cluster)) == [
        "0001-1-merge", "0001-1-train", "0001-2-merge", "0002-1-merge", "0002-1-train",
    ]  # fmt: skip
    there, here = house.directory().merged, tmp_path / "here"
    source = str(house.directory().output)
    asked = ("--data-parallel", "--src-checkpoints-dir", source, "--dst-checkpoints-dir", str(here))
    assert house.run("merge", *asked).returncode == 0
    (name,) = set(published(there)) - {"manifest.json"}
    assert (there / name).read_bytes() == (here / name).read_bytes()


def merges_anew(house: House, attempt: int) -> bool:
    """Say whether a merge after that attempt has begun."""
    return house.job().attempt > attempt


@pytest.mark.slow
def test_a_merge_whose_node_is_lost_is_repeated_on_another(merging: House, cluster: Cluster) -> None:
    """And three times in a row at most: then it may be the merge that nodes die of."""
    house = merging
    house.start()
    drop(house)
    for attempt in (1, 2):
        node = until_held(house).nodelist
        cluster.lose(node)
        house.wait(partial(merges_anew, house, attempt), "another merge")
        assert any("merges again after: Slurm says NODE_FAIL" in one for one in reasons(house))
        cluster.start_node(node)
    cluster.lose(until_held(house).nodelist)
    job = house.until(State.FAILED)
    assert job.reason.endswith("a node was lost; not merged again: 3 in a row ended this way")
    assert job.code == "slurm.node-lost"
    assert published(house.directory().merged) == []


@pytest.mark.slow
def test_a_merge_past_its_time_in_slurm_fails_with_slurms_word(merging: House) -> None:
    """It would end so again; from inside it the TERM of the time limit is as any other."""
    house = merging
    section(house)["merge"] = {"time": "1m"}
    house.start()
    drop(house)
    until_held(house)
    house.wait(lambda: house.job().state is State.FAILED, "Slurm's time limit", LIMIT)
    assert house.job().reason.startswith("Slurm says TIMEOUT")
    assert house.job().code == "slurm.time"
    ended = StepExit.read(house.directory().step(1, Step.MERGE).exit)
    assert (ended.outcome, ended.reason) == (Outcome.ENDED_OUTSIDE, "stopped by SIGTERM from Slurm")
    assert published(house.directory().merged) == []
