"""A training on two nodes of Slurm's, as its records tell of it."""

from datetime import UTC, datetime
from pathlib import Path

from daemon.core.states import Job
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir, NodeState, Owner, Part, RankPlace, Start
from handlers.records.slurm import SlurmStatus, Submitted

EXPECTED = datetime(2026, 11, 30, 16, 20, tzinfo=UTC)
WAITS = SlurmStatus(id="4711", state="PENDING", reason="Resources", partition="npu", expected=EXPECTED)
RUNS = SlurmStatus(id="4711", state="RUNNING", partition="npu", nodes="n[1-2]")


def submitted(job: Job, root: Path, said: SlurmStatus = WAITS) -> NodesDir:
    """Let Slurm have taken its present attempt, and have said so; no node has begun."""
    directory = NodesDir(job.directory(root).step(job.attempt, Step.TRAIN))
    directory.lay_out(job.nodes)
    Submitted(id="4711", how="sbatch").publish(directory.job)
    said.publish(directory.status)
    return directory


def runs(job: Job, root: Path) -> NodesDir:
    """Let its four ranks run: the first two on n2, for the order of ranks is not that of nodes."""
    directory = submitted(job, root, RUNS)
    Owner(job="4711", host="n1", pid=1, start_time=1, boot_id="x", nodelist="n[1-2]").publish(directory.owner)
    for number, (node, pids) in enumerate((("n1", {2: 102, 3: 103}), ("n2", {0: 200, 1: 201}))):
        Part(seq=1, node=node, host=node, devices=(4, 5)).publish(directory.part(number))
        NodeState(seq=3, node=node, pids=pids).publish(directory.state(number))
    ranks = ((2, 3), (0, 1))
    placed = tuple(tuple(RankPlace(rank=rank, device=4 + rank % 2) for rank in of_node) for of_node in ranks)
    Start(seq=1, size=4, ranks=placed).publish(directory.start)
    return directory
