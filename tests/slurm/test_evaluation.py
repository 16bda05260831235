"""MindFormers' own evaluation of a training on nodes: it runs on one, as a job of Slurm's."""

import pytest

from daemon.core.states import State
from handlers.gate.verdict import Verdict
from handlers.records.job_dir import Step
from handlers.records.step_exit import StepExit
from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.test_training import drop, fill

pytestmark = pytest.mark.slurm

EVALUATED = """\
  launcher: cluster
eval_dataset: &eval_dataset
  data_loader:
    type: ADGenDataLoader
    dataset_dir: "DATA/train.json"
    phase: "eval"
eval_dataset_task:
  type: KeyWordGenDataset
  dataset_config: *eval_dataset
metric:
  type: ADGENMetric
"""


@pytest.fixture
def judged(house: House) -> House:
    """Return a house whose gate asks for MindFormers' own evaluation."""
    house.settings["gate"] = {"evaluate": "mindformers", "metrics": {"rouge-1": {"min": 10}}}
    house.settings["evaluations"] = {"mindformers": {"timeout": 60}}
    return house


def state_of(cluster: Cluster) -> str:
    """Return what Slurm says of the evaluation's job; empty while it knows none."""
    return next((told for _, name, told in cluster.jobs() if name.endswith("-0001-1-evaluate")), "")


def test_it_runs_on_a_node_with_a_device_of_that(judged: House, cluster: Cluster) -> None:
    """Under the job's name, when slurmctld is there and a node is free; and what it has measured is judged."""
    judged.start()
    drop(judged, more=EVALUATED.replace("DATA", str(judged.data)))
    judged.until(State.MERGING)
    other = fill(cluster)  # the training's nodes are taken by somebody else meanwhile
    cluster.end("slurmctld")
    judged.wait(judged.directory().step(1, Step.EVALUATE).stdout.exists, "the evaluation, which Slurm does not hear of")
    cluster.start_controller()
    judged.wait(lambda: state_of(cluster) == "PENDING", "the evaluation in Slurm's queue")
    judged.wait(lambda: judged.job().reason.endswith("waits for Resources (1 node)"), "what it waits for")
    assert judged.job().state is State.EVALUATING
    cluster.run("scancel", other)
    judged.until(State.DONE)
    found = Verdict.read(judged.directory().verdict)
    assert found.metrics["rouge-1"] == 10.5
    where, *_ = judged.run("logs", "1", "--evaluation").stdout.splitlines()
    assert where.split()[:4] in (["evaluates", "on", "n1", "0"], ["evaluates", "on", "n2", "0"])


def test_one_that_fails_says_its_own_last_words(judged: House) -> None:
    """Not srun's, which says after it that a task has failed."""
    judged.training["environment"] = {"STANDIN_EVALUATES": "fails"}
    judged.start()
    drop(judged, more=EVALUATED.replace("DATA", str(judged.data)))
    judged.until(State.DONE)
    ended = StepExit.read(judged.directory().step(1, Step.EVALUATE).exit)
    assert "ValueError: no such metric" in ended.reason


@pytest.mark.parametrize("begun", (False, True), ids=("pending", "running"))
def test_one_that_is_cancelled_leaves_nothing_in_slurm(judged: House, cluster: Cluster, *, begun: bool) -> None:
    """Neither in its queue nor on a node."""
    judged.training["environment"] = {"STANDIN_EVALUATES": "hangs"}
    judged.start()
    drop(judged, more=EVALUATED.replace("DATA", str(judged.data)))
    judged.until(State.MERGING)
    if not begun:
        fill(cluster)
    judged.wait(lambda: state_of(cluster) == ("RUNNING" if begun else "PENDING"), "the evaluation in Slurm")
    judged.wait(lambda: (" evaluates on n" if begun else " waits for ") in judged.job().reason, "what is told of it")
    assert judged.run("cancel", "1").returncode == 0
    judged.wait(lambda: state_of(cluster) in {"CANCELLED", "FAILED", "COMPLETED"}, "the end of it in Slurm")
    judged.until(State.CANCELLED)
