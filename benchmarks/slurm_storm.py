"""What `benchmarks/chaos.py --slurm` does to glmd, to Slurm, to ranks and to whole nodes; and when it does what."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum

import psutil

from benchmarks.scene import Scene
from benchmarks.storm import children
from daemon.core.states import Job
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir, NodeState, Owner
from tests.acceptance.house import CONFIG
from tests.slurm.cluster import Cluster

AT_ONCE = 4
"""Jobs that are not over, at most; the cluster has room for so many beside each other."""
PAUSE = (0.5, 6.0)
"""Seconds between two acts: Slurm takes as long to start a job, and something is to train between them."""
AWAY = (0.5, 9.0)
"""Seconds for which a daemon of Slurm's is away: more than SlurmdTimeout, or less."""


class Act(StrEnum):
    """What is done, and how often: see WEIGHTS."""

    DAEMON_KILLED = "daemon killed"
    DAEMON_STOPPED = "daemon stopped and continued"
    DAEMON_RESTARTED = "daemon restarted"
    CONTROLLER_KILLED = "slurmctld killed"
    CONTROLLER_RESTARTED = "slurmctld restarted"
    CONTROLLER_FROZEN = "slurmctld stopped and continued"
    SLURMD_KILLED = "slurmd killed"
    NODE_LOST = "node lost"
    JOB_SHIM_KILLED = "shim of a job killed"
    JOB_SHIM_FROZEN = "shim of a job stopped and continued"
    NODE_SHIM_KILLED = "shim of a node killed"
    RANK_KILLED = "rank killed"


WEIGHTS = {
    Act.DAEMON_KILLED: 4,
    Act.DAEMON_STOPPED: 2,
    Act.DAEMON_RESTARTED: 2,
    Act.CONTROLLER_KILLED: 1,
    Act.CONTROLLER_RESTARTED: 1,
    Act.CONTROLLER_FROZEN: 1,
    Act.SLURMD_KILLED: 2,
    Act.NODE_LOST: 1,
    Act.JOB_SHIM_KILLED: 2,
    Act.JOB_SHIM_FROZEN: 1,
    Act.NODE_SHIM_KILLED: 2,
    Act.RANK_KILLED: 4,
}
_SLURMS = (
    r"Slurm says|did not record how it ended|no sign of life|does not know|stopped by|did not report its "
    r"devices|was lost|lost its peer"
)
NAMED = {
    **dict.fromkeys(Act, _SLURMS),
    Act.RANK_KILLED: r"was killed by SIGKILL",
    Act.NODE_SHIM_KILLED: rf"{_SLURMS}|was killed by",
}
"""How the reason of a job that failed names what was done to it, or to its nodes."""
TO_NODES = frozenset(
    {Act.CONTROLLER_KILLED, Act.CONTROLLER_RESTARTED, Act.CONTROLLER_FROZEN, Act.SLURMD_KILLED, Act.NODE_LOST}
)
"""What is done to all jobs there are."""


def wrong_reason(job: Job, acts: set[Act]) -> list[str]:
    """Return what is wrong with the reason of a job that failed: that it names nothing of `acts`."""
    if any(re.search(NAMED[act], job.reason) for act in acts):
        return []
    return [f"{job.label} failed, and this was done to it: {', '.join(sorted(acts)) or 'nothing'}; {job.reason}"]


class SlurmStorm:
    """Drops files, and does at random what is in WEIGHTS: each act once, then each as often as it weighs."""

    def __init__(self, scene: Scene, cluster: Cluster) -> None:
        self._scene, self._house, self._chance, self._cluster = scene, scene.house, scene.chance, cluster
        self.done_to: dict[str, set[Act]] = {}
        """By the job's name."""
        self._away: set[str] = set()
        """Daemons of Slurm's that do not run now."""
        self._acts: dict[Act, Callable[[], bool]] = {
            Act.DAEMON_KILLED: lambda: self._restart(signal.SIGKILL),
            Act.DAEMON_STOPPED: self._stop_and_continue,
            Act.DAEMON_RESTARTED: lambda: self._restart(signal.SIGTERM),
            Act.CONTROLLER_KILLED: lambda: self._controller(signal.SIGKILL),
            Act.CONTROLLER_RESTARTED: lambda: self._controller(signal.SIGTERM),
            Act.CONTROLLER_FROZEN: self._freeze_controller,
            Act.SLURMD_KILLED: lambda: self._node(lambda node: cluster.end(node, signal.SIGKILL)),
            Act.NODE_LOST: lambda: self._node(cluster.lose),
            Act.JOB_SHIM_KILLED: lambda: self._strike(Act.JOB_SHIM_KILLED, self._job_shims(), signal.SIGKILL),
            Act.JOB_SHIM_FROZEN: self._freeze_job_shim,
            Act.NODE_SHIM_KILLED: lambda: self._strike(Act.NODE_SHIM_KILLED, self._node_shims(), signal.SIGKILL),
            Act.RANK_KILLED: lambda: self._strike(Act.RANK_KILLED, self._ranks(), signal.SIGKILL),
        }
        self.acts = dict.fromkeys(self._acts, 0)

    def rage(self, end: float) -> None:
        """Drop files and do harm until `end`, on the monotonic clock; then let Slurm be as it was."""
        self._scene.start()
        owed = self._chance.sample(list(self._acts), len(self._acts))
        while time.monotonic() < end or owed:
            for _ in range(AT_ONCE - self._scene.unfinished()):
                self.drop()
            time.sleep(self._chance.uniform(*PAUSE))
            self._scene.undo()
            self._act(owed)
        self._scene.undo(everything=True)

    def drop(self) -> None:
        """Drop a training on two nodes, with two ranks on each."""
        text = CONFIG.format(data=self._house.data, devices="x").replace("data_parallel: 2", "data_parallel: 4")
        self._scene.drop("run", text.replace('devices: "x"', "slurm: {nodes: 2}\n  launcher: cluster"))

    def _act(self, owed: list[Act]) -> None:
        """Do the first of `owed` for which there is somebody to do it to; when all were done, one by its weight."""
        chosen = self._chance.choices(list(self._acts), [WEIGHTS[act] for act in self._acts])
        for act in owed or chosen:
            if self._acts[act]():
                self.acts[act] += 1
                if act in TO_NODES:
                    self.note(act, self._scene.names_not_over())
                if act in owed:
                    owed.remove(act)
                break
        if not self._house.is_up:
            self._scene.faults.append("the daemon ended by itself")
            self._scene.start()

    def note(self, act: Act, names: list[str]) -> None:
        """Remember to whom something was done."""
        for name in names:
            self.done_to.setdefault(name, set()).add(act)

    # The daemon

    def _restart(self, number: signal.Signals) -> bool:
        self._scene.restart(number)
        return True

    def _stop_and_continue(self) -> bool:
        self._house.send(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.1, 2.0))
        self._house.send(signal.SIGCONT)
        return True

    # Slurm

    def _controller(self, number: signal.Signals) -> bool:
        if self._away:
            return False
        self._cluster.end("slurmctld", number)
        self._be_away("slurmctld", self._cluster.start_controller)
        return True

    def _freeze_controller(self) -> bool:
        if self._away:
            return False
        self._cluster.send("slurmctld", signal.SIGSTOP)
        self._be_away("slurmctld", lambda: self._cluster.send("slurmctld", signal.SIGCONT))
        return True

    def _node(self, strike: Callable[[str], None]) -> bool:
        if self._away:
            return False
        node = self._chance.choice(list(self._cluster.nodes))
        strike(node)
        self._be_away(node, lambda: self._cluster.start_node(node))
        return True

    def _be_away(self, name: str, come_back: Callable[[], None]) -> None:
        def undo() -> None:
            come_back()
            self._away.discard(name)

        self._away.add(name)
        self._scene.later(self._chance.uniform(*AWAY), undo)

    # Shims and ranks

    def _strike(self, act: Act, found: Iterator[tuple[str, int]], number: signal.Signals) -> bool:
        there = list(found)
        if not there:
            return False
        name, pid = self._chance.choice(there)
        self.note(act, [name])
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).send_signal(number)
        return True

    def _freeze_job_shim(self) -> bool:
        there = list(self._job_shims())
        if not there:
            return False
        name, pid = self._chance.choice(there)
        self.note(Act.JOB_SHIM_FROZEN, [name])
        with suppress(psutil.NoSuchProcess):
            frozen = psutil.Process(pid)
            frozen.suspend()
            self._scene.later(self._chance.uniform(1.0, 15.0), lambda: _go_on(frozen))
        return True

    def _attempts(self) -> Iterator[tuple[str, NodesDir, int]]:
        for job in self._scene.jobs_not_over():
            step = job.directory(self._house.root).step(job.attempt, Step.TRAIN)
            if not step.exit.exists():
                yield job.name, NodesDir(step), job.nodes

    def _job_shims(self) -> Iterator[tuple[str, int]]:
        for name, directory, _ in self._attempts():
            with suppress(FileNotFoundError):
                owner = Owner.read(directory.owner)
                if _is_shim(owner.pid):
                    yield name, owner.pid

    def _node_shims(self) -> Iterator[tuple[str, int]]:
        for name, state in self._states():
            if state.pid is not None and _is_shim(state.pid):
                yield name, state.pid

    def _ranks(self) -> Iterator[tuple[str, int]]:
        for name, state in self._states():
            if state.pid is not None and _is_shim(state.pid):
                yield from ((name, child.pid) for child in children(state.pid))

    def _states(self) -> Iterator[tuple[str, NodeState]]:
        for name, directory, nodes in self._attempts():
            for number in range(nodes):
                state = NodeState.now(directory.state(number))
                if state is not None and state.exit is None:
                    yield name, state


def _is_shim(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any(word.startswith("handlers.shim.") for word in psutil.Process(pid).cmdline())
    return False


def _go_on(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()
