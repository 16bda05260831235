"""One process a device, met at a scheduler process: MindSpore's dynamic cluster, which msrun starts as well.

On a CPU MindSpore knows no other way.
"""

import socket

from handlers.records.train_plan import ProcessPlan, Role
from handlers.training.binding import SCHEDULER
from handlers.training.launchers import Launch, Meeting

HOST = "127.0.0.1"

TOPO_TIMEOUT = "600"
"""Seconds within which all ranks have to reach the scheduler: msrun's --cluster_time_out (parallel/cluster/run.py)."""

_SCHEDULE = """\
import os, socket, sys
# A rank of MindSpore 2.0 misses an answer that comes before it waits for it, waits half a minute, and the training
# fails: on two busy cores one start in five. A scheduler of the idle class does not overtake a rank.
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
# MindSpore takes seconds to import, in which somebody else could take the port.
place = (os.environ["MS_SCHED_HOST"], int(os.environ["MS_SCHED_PORT"]))
held = socket.socket()
try:
    held.bind(place)
except OSError as error:
    sys.exit(f"the port {place[1]} of {place[0]}, at which the ranks were to meet, cannot be had: {error.strerror}")
import mindspore
from mindspore.communication import init
mindspore.set_context(CONTEXT)
held.close()
init()
"""
"""What the scheduler runs; `init` does not come back before the ranks have ended."""


def cluster(launch: Launch) -> tuple[ProcessPlan, ...]:
    """Lay out what `msrun` starts, with the environment that it gives to each.

    The scheduler, which with msrun runs the ranks' command as well, only calls `init()`: so it needs no MindFormers.
    """
    meeting = Meeting(HOST, free_port())
    return scheduler(launch, meeting), *workers(launch, meeting)


def scheduler(launch: Launch, meeting: Meeting) -> ProcessPlan:
    """Return the process at which the ranks of all hosts meet."""
    context = "mode=mindspore.GRAPH_MODE"
    if launch.device_target == "CPU":
        context += ", device_target='CPU'"
    program = (str(launch.python), "-c", _SCHEDULE.replace("CONTEXT", context))
    return ProcessPlan(
        role=Role.SCHEDULER,
        ranks=(),
        argv=launch.binding.command(SCHEDULER, program),
        environment={
            **launch.environment,
            **_shared(launch, meeting),
            "MS_ROLE": "MS_SCHED",
            "RANK_ID": "0",
            "RANK_SIZE": str(launch.size),
        },
        directory=launch.directory("scheduler"),
        log=launch.output / "log" / "scheduler.log",
    )


def workers(launch: Launch, meeting: Meeting) -> tuple[ProcessPlan, ...]:
    """Return the ranks of this host, which meet those of the others there."""
    shared = {**_shared(launch, meeting), "MS_ROLE": "MS_WORKER"}
    return tuple(launch.rank(rank, {**shared, "MS_NODE_ID": str(rank)}) for rank in launch.ranks)


def _shared(launch: Launch, meeting: Meeting) -> dict[str, str]:
    # MindSpore 2.9's parallel/cluster/process_entity/_api.py: _Node.run, start_scheduler, _ComputeGraphNode.run; what
    # it sets for ranks with rank tables, too (RANK_ID, RANK_SIZE, DEVICE_ID), is in Launch.rank.
    shared = {
        "MS_WORKER_NUM": str(launch.size),
        "MS_SCHED_HOST": meeting.host,
        "MS_SCHED_PORT": str(meeting.port),
        "MS_TOPO_TIMEOUT": launch.environment.get("MS_TOPO_TIMEOUT", TOPO_TIMEOUT),
    }
    if launch.device_target == "CPU":
        # Ranks share the host's cores; each would otherwise start as many threads as there are cores, and spin.
        shared["OMP_NUM_THREADS"] = "1"
    return shared


def free_port(host: str = HOST) -> int:
    """Return a TCP port that nobody holds at this moment: no listener, and no scheduler that is about to listen.

    `host` is an address of this host. Somebody may take it before the scheduler does; then that fails at once, and the
    job with it, saying so.
    """
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
