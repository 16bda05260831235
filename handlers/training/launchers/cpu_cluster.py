"""One process per rank on a CPU, where MindSpore knows no rank table: the ranks meet at a scheduler process."""

import socket

from handlers.records.train_plan import ProcessPlan, Role
from handlers.training.launchers import Launch

HOST = "127.0.0.1"

_SCHEDULE = (
    # A rank of MindSpore 2.0 misses an answer that comes before it waits for it, waits half a minute, and the training
    # fails: on two busy cores one start in five. A scheduler of the idle class does not overtake a rank.
    "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)); "
    "import mindspore; from mindspore.communication import init; "
    "mindspore.set_context(mode=mindspore.GRAPH_MODE, device_target='CPU'); init()"
)


def cpu_cluster(launch: Launch) -> tuple[ProcessPlan, ...]:
    """Lay out MindSpore's dynamic cluster (its environment variables are documented with `mindspore.communication`)."""
    ranks = len(launch.ranks)
    cluster = {
        "MS_WORKER_NUM": str(ranks),
        "MS_SCHED_HOST": HOST,
        "MS_SCHED_PORT": str(free_port()),
        # Ranks share the host's cores; each would otherwise start as many threads as there are cores, and spin.
        "OMP_NUM_THREADS": "1",
    }
    scheduler = ProcessPlan(
        role=Role.SCHEDULER,
        ranks=(),
        argv=(str(launch.python), "-c", _SCHEDULE),
        environment={**launch.environment, **cluster, "RANK_SIZE": str(ranks), "MS_ROLE": "MS_SCHED"},
        directory=launch.directory("scheduler"),
        log=launch.job_dir.output / "log" / "scheduler.log",
    )
    workers = (launch.rank(rank, {**cluster, "MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)}) for rank in launch.ranks)
    return (scheduler, *workers)


def free_port() -> int:
    """Return a TCP port that nobody listens on at this moment.

    Somebody may take it before the scheduler does; then the scheduler fails, and the job with it, saying so.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
