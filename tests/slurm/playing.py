"""What tests of trainings through Slurm do and ask again and again."""

import re

from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir, NodeState
from handlers.records.step_exit import StepExit
from tests.acceptance.house import CONFIG, House
from tests.slurm.cluster import DEVICES, Cluster


def drop(house: House, name: str = "run", more: str = "  launcher: cluster\n") -> None:
    """Drop a file for four ranks, two on each of two nodes, with `more` in its section."""
    text = CONFIG.format(data=house.data, devices="x").replace('  devices: "x"\n', f"  slurm: {{nodes: 2}}\n{more}")
    house.drop(f"{name}.yaml", text=text.replace("data_parallel: 2", "data_parallel: 4"))


def directory(house: House, attempt: int = 1) -> NodesDir:
    """Return where an attempt of job 1 has its records."""
    return NodesDir(house.directory().step(attempt, Step.TRAIN))


def state(house: House, node: int) -> NodeState:
    """Return what a node says; an empty one until it says something."""
    return NodeState.now(directory(house, house.job().attempt).state(node)) or NodeState()


def exit_of(house: House, attempt: int = 1) -> StepExit:
    """Return how an attempt ended."""
    return StepExit.read(house.directory().step(attempt, Step.TRAIN).exit)


def gated(house: House, **more: str) -> None:
    """Let ranks wait at the gate before their last round."""
    house.training["environment"] = {"STANDIN_GATE": str(house.gate), **more}


def until_gate(house: House) -> None:
    """Wait until all ranks wait there."""
    house.until(State.TRAINING)
    logs = [house.directory().rank_log(rank) for rank in range(4)]
    house.wait(lambda: all(log.exists() and "Epoch:[ 30/" in log.read_text() for log in logs), "the gate")


def reasons(house: House) -> list[str]:
    """Return why job 1 went from state to state."""
    told = house.run("status", "1", "--json").stdout
    return re.findall(r'"reason": "([^"]*)"', told)


def fill(cluster: Cluster) -> str:
    """Let another job have all devices; return its number."""
    holds = ["--nodes=2", f"--gres=npu:{DEVICES}", "--output=/dev/null", "--job-name=another", "--wrap", "sleep 600"]
    number = cluster.run("sbatch", "--parsable", *holds).strip()
    return number.partition(";")[0]


def waits(house: House) -> bool:
    """Say whether Slurm's own word is why job 1 is where it is."""
    job = house.job()
    return job.state is State.SUBMITTED and "waits for Resources" in job.reason


def runs_of(cluster: Cluster) -> list[tuple[str, str]]:
    """Return name and state of glmd's jobs that Slurm knows."""
    return [(name, told) for _, name, told in cluster.jobs() if name.startswith("glmd-")]
