"""What a real Slurm costs and how soon glmd acts on it; and what 128 nodes of eight ranks ask of a file server.

    python benchmarks/slurm.py [--rounds 5] [--queued 200] [--seconds 60] [--nodes 128] [--json FILE]

On the loopback cluster of tests/slurm, with the tests' stand-in as ranks: from sbatch to the ranks' processes; from the
kill of a rank to the record that names it, and to the next attempt; from the loss of a node to the next attempt. Then,
with that many jobs in Slurm's queue and settings as they come (`poll: 10s`): what the daemon and the programs that it
starts cost while they ask, and how often they do; first with jobs of somebody else, then with glmd's own. Last, without
a Slurm: one look of each who looks at the files of a training on that many nodes.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from measuring import Report

from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.serve.jobs.nodes_looks import look
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import Control, NodesDir, NodeState
from handlers.records.slurm import Intent
from handlers.records.train_plan import RankPlan
from handlers.shim.nodes_watch import NodesWatch
from handlers.shim.signs_of_life import SignsOfLife
from tests.acceptance.house import CONFIG, House
from tests.slurm.cluster import Cluster
from tests.slurm.house import house_on, section

CORE = 1.0
"""Percent of a core that asking may take."""
SUBMITTING = 600.0
"""Seconds in which that many jobs are submitted, at most."""
RANKS = 8
"""Of a node."""
LOOKS = 20
"""The median of so many counts."""


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queued", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="for which the daemon is watched")
    parser.add_argument("--nodes", type=int, default=128)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    report = Report()
    if asked.rounds:
        report.part(f"how soon, s: medians of {asked.rounds}, and the longest")
        measure_moments(report, asked.rounds)
    if asked.queued:
        report.part(f"{asked.queued} jobs in Slurm's queue")
        measure_polling(report, asked.queued, asked.seconds)
    report.part(f"one look at {asked.nodes} nodes of {RANKS} ranks")
    measure_looks(report, asked.nodes)
    if asked.json:
        asked.json.write_text(json.dumps(report.rows, indent=2))


@contextmanager
def playground(nodes: int = 3) -> Iterator[tuple[House, Cluster]]:
    """Yield a house on a cluster of its own, whose ranks wait at the gate once they have saved."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "slurm").mkdir()
        with Cluster(Path(directory) / "slurm", nodes) as cluster:
            house = house_on(Path(directory), cluster)
            house.training["environment"] = {"STANDIN_GATE": str(house.gate), "STANDIN_SAVE": "17"}
            try:
                yield house, cluster
            finally:
                house.close()


def drop(house: House, name: str) -> None:
    """Drop a training on two nodes, with two ranks on each."""
    text = CONFIG.format(data=house.data, devices="x").replace("data_parallel: 2", "data_parallel: 4")
    text = f"# {name}\n{text}"  # or it would be dropped twice
    house.drop(f"{name}.yaml", text=text.replace('devices: "x"', "slurm: {nodes: 2}\n  launcher: cluster"))


# How soon


def measure_moments(report: Report, rounds: int) -> None:
    """Kill a rank, and then a node, of one job after the other."""
    starts, named, next_attempt, lost = [], [], [], []
    with playground() as (house, cluster):
        house.start()
        for number in range(1, rounds + 1):
            drop(house, f"run{number}")
            house.until(State.TRAINING, number)
            starts.append(begun(house, number, 1))
            struck = time.time()
            os.kill(states(house, number, 1)[1].pids[2], signal.SIGKILL)
            exit_ = house.directory(number).step(1, Step.TRAIN).exit
            house.wait(exit_.exists, "the record")
            named.append(time.time() - struck)
            until_attempt(house, number, 2)
            next_attempt.append(time.time() - struck)
            starts.append(begun(house, number, 2))
            node, struck = states(house, number, 2)[1].node, time.time()
            cluster.lose(node)
            until_attempt(house, number, 3)
            lost.append(time.time() - struck)
            starts.append(begun(house, number, 3))
            cluster.start_node(node)
            house.run("cancel", str(number))
            house.until(State.CANCELLED, number)
            house.wait(lambda: len(cluster.run("sinfo", "-h", "-N", "-t", "idle").split()) >= 3, "all nodes")
    tell(report, "sbatch to the processes of all ranks", starts)
    tell(report, "rank killed to the record that names it", named)
    tell(report, "rank killed to the next attempt", next_attempt)
    tell(report, "node lost to the next attempt (node_silence 8 s)", lost)


def states(house: House, number: int, attempt: int) -> list[NodeState]:
    """Return what both nodes say, those that say something."""
    directory = NodesDir(house.directory(number).step(attempt, Step.TRAIN))
    found = (NodeState.now(directory.state(node)) for node in range(2))
    return [state for state in found if state is not None]


def begun(house: House, number: int, attempt: int) -> float:
    """Wait until the ranks wait at the gate; return how long after sbatch the last was there, in seconds."""
    house.wait(lambda: sum(len(one.pids) for one in states(house, number, attempt)) == 4, "the ranks")
    pids = [pid for one in states(house, number, attempt) for pid in one.pids.values()]
    started = max(psutil.Process(pid).create_time() for pid in pids)
    sent = Intent.read(NodesDir(house.directory(number).step(attempt, Step.TRAIN)).slurm / "intent.json").sent
    if sent is None:
        sys.exit("the intent says nothing of when it was sent")
    logs = [house.directory(number).rank_log(rank) for rank in range(4)]
    house.wait(lambda: all(log.exists() and "Epoch:[ 30/" in log.read_text() for log in logs), "the gate")
    return started - sent.timestamp()


def until_attempt(house: House, number: int, attempt: int) -> None:
    """Wait until that one is the present one."""
    house.wait(lambda: house.job(number).attempt == attempt, f"attempt {attempt} of job {number}")


def tell(report: Report, name: str, seconds: list[float]) -> None:
    """Add a median, and the longest."""
    report.figure(name, statistics.median(seconds))
    report.figure("  the longest", max(seconds))


# Asking


def measure_polling(report: Report, queued: int, seconds: float) -> None:
    """Watch a daemon one of whose jobs trains, beside many that wait: somebody else's, and its own."""
    with playground() as (house, cluster):
        calls = counted(house)
        section(house).update(poll=10, submitted=queued)
        house.start()
        drop(house, "first")
        house.until(State.TRAINING)
        begun(house, 1, 1)
        watch(report, "one job of glmd's", house, calls, seconds)
        held = ["--hold", "--output=/dev/null", "--nodes=2", "--wrap", "true"]
        for _ in range(queued):
            cluster.run("sbatch", *held)
        watch(report, f"and {queued} of the same user's that wait", house, calls, seconds)
        cluster.run("scancel", "--state=PENDING", f"--user={os.getuid()}")
        fill = ["--nodes=3", "--gres=npu:6", "--output=/dev/null", "--wrap", "sleep 3600"]
        cluster.run("sbatch", *fill)
        for number in range(queued):
            drop(house, f"waits{number}")
        # The first one's ranks wait at the gate for two minutes; then one of these trains in its place.
        house.wait(lambda: submitted(cluster) >= queued - 1, "all to be submitted", SUBMITTING)
        house.wait(lambda: told(house) >= queued - 1, "all to say what they wait for", SUBMITTING)
        watch(report, f"and {queued} of glmd's own that wait (8 may by default)", house, calls, seconds)


def submitted(cluster: Cluster) -> int:
    """Return how many of glmd's own wait in Slurm's queue."""
    return sum(name.startswith("glmd-") and state == "PENDING" for _, name, state in cluster.jobs())


def told(house: House) -> int:
    """Return of how many Slurm's word is told: that is done once, and again where Slurm says something else."""
    return sum(" waits for " in job.reason for job in house.jobs())


def counted(house: House) -> Path:
    """Let the daemon call squeue and scontrol through a script that counts; return the file of its lines."""
    calls = house.root.parent / "calls"
    calls.touch()
    commands = {}
    for name in ("squeue", "scontrol"):
        script = house.root.parent / name
        path = shutil.which(name, path=house.daemon_environment["PATH"])
        script.write_text(f'#!/bin/sh\necho {name} >>{calls}\nexec {path} "$@"\n')
        script.chmod(0o755)
        commands[name] = str(script)
    section(house)["commands"] = commands
    return calls


def watch(report: Report, name: str, house: House, calls: Path, seconds: float) -> None:
    """Add what the daemon costs in so many seconds."""
    daemon, asked = psutil.Process(house.pid), len(calls.read_text().split())
    before, own = sum(daemon.cpu_times()[:4]), sum(daemon.cpu_times()[:2])
    time.sleep(seconds)
    percent = 100 * (sum(daemon.cpu_times()[:4]) - before) / seconds
    report.figure(f"{name}: percent of a core", percent, f"<= {CORE}", met=percent <= CORE)
    report.figure("  of these the daemon alone", 100 * (sum(daemon.cpu_times()[:2]) - own) / seconds)
    report.figure("  calls of squeue and scontrol a minute", (len(calls.read_text().split()) - asked) * 60 / seconds)


# Looking


def measure_looks(report: Report, nodes: int) -> None:
    """Lay out a training on many nodes, and look at it as its shims and the daemon do."""
    opened = 0

    def hear(event: str, _: object) -> None:
        nonlocal opened
        opened += event in {"open", "os.scandir", "os.listdir"}

    sys.addaudithook(hear)
    with tempfile.TemporaryDirectory() as place:
        root = Root(Path(place))
        now = datetime.now(UTC)
        job = Job(
            1, "run", State.TRAINING, "", 1, 0, (), "glm-6b", cancel=False, submitted=now, changed=now,
            nodes=nodes, ranks_in_all=nodes * RANKS,
        )  # fmt: skip
        directory = job.directory(root.path)
        ranks = laid_out(directory, nodes)
        watched = NodesWatch(records(directory), nodes, 60.0)
        signs = SignsOfLife(ranks, directory.output / "checkpoint")
        looks: dict[str, Callable[[], object]] = {
            "shim of the job, once a second: records of all nodes": watched.look,
            "shim of the job, once a second: logs and shards": signs.look,
            "daemon, every 2 s": lambda: look(job, root),
            "shim of a node, once a second": lambda: Control.now(records(directory).control),
        }
        for name, act in looks.items():
            opened, took = 0, []
            for _ in range(LOOKS):
                began = time.process_time()  # the disk is this host's: what a file server takes comes on top
                act()
                took.append(time.process_time() - began)
            report.figure(f"{name}: ms of a core", 1000 * statistics.median(took))
            report.figure("  files and directories opened", opened / LOOKS)


def records(directory: JobDir) -> NodesDir:
    """Return where the first attempt has them."""
    return NodesDir(directory.step(1, Step.TRAIN))


def laid_out(directory: JobDir, nodes: int) -> list[RankPlan]:
    """Write what is there while all ranks train and have saved twice; return the ranks."""
    records(directory).lay_out(nodes)
    ranks = []
    for node in range(nodes):
        mine = range(node * RANKS, (node + 1) * RANKS)
        pids = {rank: 1000 + rank for rank in mine}
        NodeState(seq=1, node=f"n{node}", pid=1, boot_id="boot", pids=pids).publish(records(directory).state(node))
        for rank in mine:
            log = directory.rank_log(rank)
            log.parent.mkdir(parents=True)
            log.write_text("a line\n")
            ranks.append(RankPlan(number=rank, device=rank % RANKS, log=log))
            shards = directory.output / "checkpoint" / f"rank_{rank}"
            shards.mkdir(parents=True)
            for name in (f"glm-6b_rank_{rank}-1_4.ckpt", f"glm-6b_rank_{rank}-2_4.ckpt", "meta.json"):
                (shards / name).touch()
    return ranks


if __name__ == "__main__":
    main()
