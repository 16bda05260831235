"""Where a training runs that Slurm has placed."""

from dataclasses import replace
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.face.nodes import Place, in_slurm, places_of
from daemon.face.ranks import pids_of, ranks_of
from handlers.records.nodes import Part
from tests.unit.daemon.face.placed import EXPECTED, runs, submitted


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root."""
    root = Root(tmp_path)
    root.create()
    return root


@pytest.fixture
def job(root: Root) -> Job:
    """Return a job that Slurm is to have."""
    with Store.open(root.store) as store:
        job = store.add(NewJob("run", "run", nodes=2, ranks=4))
        return store.move(store.move(job, State.PREPARING), State.SUBMITTED)


def test_what_slurm_says_of_one_that_waits(job: Job, root: Root) -> None:
    """Its number, partition, reason and expected start are fields; there are no nodes yet."""
    submitted(job, root.path)
    found = in_slurm(job, root.path)
    assert found is not None
    assert found.as_json() == {
        "id": "4711", "state": "PENDING", "reason": "Resources", "partition": "npu", "nodes": "",
        "expected_start": EXPECTED.isoformat(), "ranks": {},
    }  # fmt: skip
    assert set(found.facts()) == {"slurm_job", "slurm_state", "partition", "expected"}
    assert found.facts()["slurm_state"] == "PENDING (Resources)"


def test_ranks_know_node_device_and_pid(job: Job, root: Root) -> None:
    """By what the nodes have said, whatever their numbers are."""
    runs(job, root.path)
    found = in_slurm(job, root.path)
    assert found is not None
    assert (found.nodes, found.ranks, found.expected) == ("n[1-2]", {"n2": (0, 1), "n1": (2, 3)}, None)
    assert found.facts()["node_ranks"] == "n2: 0-1; n1: 2-3"
    assert places_of(job, root.path)[3] == Place("n1", 5)
    assert pids_of(job, root.path) == {0: 200, 1: 201, 2: 102, 3: 103}
    assert [(each.rank, each.node, each.device) for each in ranks_of(job, root.path)] == [
        (0, "n2", 4), (1, "n2", 5), (2, "n1", 4), (3, "n1", 5),
    ]  # fmt: skip


def test_nothing_is_known_before_anybody_has_said_it(job: Job, root: Root) -> None:
    """Neither of Slurm nor of nodes; a damaged record is as none, for nothing is decided by it."""
    empty = in_slurm(job, root.path)
    assert empty is not None
    assert (empty.id, empty.facts(), places_of(job, root.path), pids_of(job, root.path)) == ("", {}, {}, {})
    directory = runs(job, root.path)
    directory.status.write_text("{")
    Part().publish(directory.part(0))
    found = in_slurm(job, root.path)
    assert found is not None
    assert (found.id, found.nodes, found.ranks) == ("4711", "n[1-2]", {"n2": (0, 1), "node 0": (2, 3)})


def test_of_a_training_that_is_over_slurms_word_is_old(job: Job, root: Root) -> None:
    """It heard of the end later than glmd, and is asked no more; where it was is as true as ever."""
    runs(job, root.path)
    found = in_slurm(replace(job, state=State.DONE), root.path)
    assert found is not None
    assert (found.state, found.id, found.partition, found.nodes) == ("", "4711", "npu", "n[1-2]")


def test_a_job_of_this_host_has_none(root: Root) -> None:
    """Its devices say where it is."""
    with Store.open(root.store) as store:
        job = store.add(NewJob("here", "here", devices=(0,)))
    assert in_slurm(job, root.path) is None
    assert job.shape == ""
