"""Which nodes the next attempt is not to have: those that are to blame, and no others."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.serve.jobs.nodes_left_out import nodes_to_leave_out
from daemon.serve.steps.slurm.submission import SlurmRecords
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodeExit, NodeState, Owner
from handlers.records.slurm import Intent, Verdict
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.decision import TakenUp

NOW = datetime(2026, 11, 30, tzinfo=UTC)


class Past:
    """A job whose first attempt, on n1 and n2, is over."""

    def __init__(self, place: Path) -> None:
        self.job_dir = JobDir(place)
        self.first = SlurmRecords(self.job_dir, 1)
        self.first.nodes.lay_out(2)
        Intent(name="glmd-x-0001-1-train", script="x").publish(self.first.intent)
        self.resumed(2)

    def resumed(self, attempt: int, resumes: int = 1) -> None:
        """Let an attempt follow, by glmd itself, or by `glmd retry`."""
        path = self.job_dir.resume_record(attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        TakenUp(resumes=resumes, tag=None).publish(path)

    def begun(self, nodelist: str = "n[1-2]") -> None:
        """Let its shim have begun."""
        owner = Owner(job="7", host="n1", pid=1, start_time=1, boot_id="x", nodelist=nodelist)
        owner.publish(self.first.nodes.owner)

    def ended(self, code: str, **more: object) -> None:
        """Let exit.json say so."""
        given = {"step": Step.TRAIN, "outcome": Outcome.FAILED, "reason": "why", "started": NOW, "ended": NOW}
        exit_ = StepExit.model_validate({**given, "code": code, **more})
        exit_.publish(self.job_dir.step(1, Step.TRAIN).exit)

    def slurm(self, state: str, reason: str = "None", nodes: str = "n[1-2]", **down: str) -> None:
        """Let Slurm's word have ended it."""
        verdict = Verdict(state=state, reason=reason, nodes=nodes, down=down, has_record=False, at=NOW)
        verdict.publish(self.first.verdict)

    def left_out(self, attempt: int = 2) -> dict[str, str]:
        """Return what is asked about."""
        return nodes_to_leave_out(self.job_dir, attempt)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Return such a job."""
    return Past(tmp_path)


def test_a_node_that_wrote_no_end_is_left_out(past: Past) -> None:
    """Where that is why the attempt ended: what is preempted has no time to write anything."""
    past.begun()
    past.ended("slurm.node-lost", nodes_without_record=("n2",))
    assert past.left_out() == {"n2": "lost in attempt 1"}
    past.ended("shim.stopped", nodes_without_record=("n2",))
    assert past.left_out() == {}


def test_an_unfit_node_is_left_out(past: Past) -> None:
    """And one that never said what it has, by the name that Slurm has for it, where that is known."""
    past.begun()
    past.ended("slurm.node-unfit", nodes_unfit=("n2",), nodes_without_record=("node 0",))
    assert past.left_out() == {"n2": "unfit in attempt 1"}


def test_the_node_that_slurm_says_is_down_is_left_out(past: Past) -> None:
    """Of the job's nodes, though all of them could write how they ended."""
    past.begun()
    past.slurm("NODE_FAIL", "NodeDown", n2="Not responding", n7="Not responding")
    assert past.left_out() == {"n2": "lost in attempt 1: Not responding"}


def test_a_lost_node_that_is_up_again_is_the_one_without_an_end(past: Past) -> None:
    """Where each has one nobody knows which it was."""
    past.begun()
    past.slurm("NODE_FAIL", "NodeDown")
    end = NodeExit(is_good=False, was_told=True, ended=NOW)
    NodeState(seq=5, node="n1", exit=end).publish(past.first.nodes.state(0))
    assert past.left_out() == {"n2": "lost in attempt 1"}
    NodeState(seq=5, node="n2", exit=end).publish(past.first.nodes.state(1))
    assert past.left_out() == {}


def test_where_the_batch_step_did_not_start_its_node_is_left_out(past: Past) -> None:
    """It is the first of the job's."""
    past.slurm("FAILED", "JobLaunchFailure", nodes="n[3-4]")
    assert past.left_out() == {"n3": "the batch step did not start on it in attempt 1"}


@pytest.mark.parametrize("state", ("PREEMPTED", "TIMEOUT", "CANCELLED", ""))
def test_what_is_no_nodes_fault_leaves_none_out(past: Past, state: str) -> None:
    """Slurm took them away, or has forgotten all."""
    past.begun()
    past.slurm(state)
    assert past.left_out() == {}


def test_when_all_of_several_are_to_blame_none_is(past: Past) -> None:
    """Other nodes would be no better; a single one may be."""
    past.begun()
    past.ended("slurm.node-lost", nodes_without_record=("n1", "n2"))
    assert past.left_out() == {}
    past.begun("n1")
    past.ended("slurm.node-lost", nodes_without_record=("n1",))
    assert past.left_out() == {"n1": "lost in attempt 1"}


def test_nodes_stay_left_out_until_somebody_has_seen_to_it(past: Past) -> None:
    """`glmd retry` begins with all nodes, as it begins all counts anew."""
    past.begun()
    past.ended("slurm.node-lost", nodes_without_record=("n2",))
    second = SlurmRecords(past.job_dir, 2)
    second.nodes.lay_out(2)
    Intent(name="x", script="x", left_out=past.left_out(), in_vain="no others").publish(second.intent)
    past.resumed(3, resumes=2)
    assert past.left_out(3) == {"n2": "lost in attempt 1"}
    past.resumed(3, resumes=0)
    assert past.left_out(3) == {}
