"""MindSpore's cluster environment on a CPU."""

import socket
from pathlib import Path

from handlers.records.job_dir import JobDir
from handlers.training.launchers import Launch
from handlers.training.launchers.cpu_cluster import HOST, cpu_cluster, free_port


def test_all_meet_at_the_same_place(tmp_path: Path) -> None:
    """Scheduler and ranks agree on address and number, and each knows its role."""
    scheduler, *ranks = cpu_cluster(
        Launch(
            job_dir=JobDir(tmp_path),
            devices=(2, 3),
            rank_table=tmp_path / "hccl_2p_23_127.0.0.1.json",
            python=Path("/opt/python"),
            command=("/opt/python", "run_mindformer.py"),
            environment={"HOME": "/home/glm"},
        )
    )
    shared = ("MS_WORKER_NUM", "MS_SCHED_HOST", "MS_SCHED_PORT", "RANK_SIZE", "OMP_NUM_THREADS", "HOME")
    assert {tuple(process.environment[name] for name in shared) for process in (scheduler, *ranks)} == {
        ("2", HOST, scheduler.environment["MS_SCHED_PORT"], "2", "1", "/home/glm")
    }
    assert scheduler.environment["MS_ROLE"] == "MS_SCHED"
    assert [
        (rank.environment["MS_ROLE"], rank.environment["MS_NODE_ID"], rank.environment["RANK_ID"]) for rank in ranks
    ] == [("MS_WORKER", "0", "0"), ("MS_WORKER", "1", "1")]


def test_port_is_free() -> None:
    """The scheduler can listen where the plan says."""
    with socket.socket() as listener:
        listener.bind((HOST, free_port()))
        listener.listen()
