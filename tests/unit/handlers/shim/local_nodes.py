"""A training on nodes that are processes of this host: what Slurm would start on each is started here.

python local_nodes.py NODES JOB_DIR ATTEMPT      stands in for srun
"""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from handlers.records.job_dir import Step
from handlers.records.job_plan import JobPlan, NodesPlan, TimeLimits
from handlers.records.merge_plan import MergePlan
from handlers.records.nodes import NodesDir, NodeState, Request
from handlers.records.step_exit import StepExit

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

DRIVER = f"""
import sys
from handlers.shim.job import main
start = lambda run, nodes: [sys.executable, {__file__!r}, str(nodes), str(run.job_dir.path), str(run.attempt)]
sys.exit(main(sys.argv[1:], start))
"""
SCONTROL = """#!/bin/sh
case $4 in n1) address=10.0.0.9;; *) address=10.0.0.10;; esac
echo "NodeName=$4 Arch=x86_64 NodeAddr=$address NodeHostName=$4"
"""
HCCN_TOOL = """#!/bin/sh
case $SLURMD_NODENAME in n1) echo ipaddr:192.168.1.10$2;; *) echo ipaddr:192.168.2.10$2;; esac
"""
SAVES = """
directory = Path(os.environ["LOCAL_DEFAULT_PATH"], "checkpoint", "rank_" + os.environ["RANK_ID"])
directory.mkdir(parents=True)
(directory / f"demo_rank_{os.environ['RANK_ID']}-1_1.ckpt").touch()
"""
NEVER = "print('trains', flush=True); time.sleep(600)"


class LocalNodes:
    """Two nodes, n1 and n2, of which the second comes first by its address as text."""

    def __init__(self, workshop: "Workshop") -> None:
        self.workshop = workshop
        self.records = workshop.job_dir.step(1, Step.TRAIN)
        self.directory = NodesDir(self.records)
        tools = workshop.job_dir.path.parent / "tools"
        tools.mkdir()
        for name, script in (("scontrol", SCONTROL), ("hccn_tool", HCCN_TOOL)):
            (tools / name).write_text(script)
            (tools / name).chmod(0o755)
        self.environment = {
            **workshop.environment,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "ASCEND_RT_VISIBLE_DEVICES": "2,3",
            "SLURM_JOB_ID": "4711",
        }

    def plan(self, script: str, **other: object) -> NodesPlan:
        """Plan a training of two nodes with two devices each; every rank runs `script`."""
        imports = "import os, signal, sys, time; from pathlib import Path; rank = int(os.environ['RANK_ID'])\n"
        plan = NodesPlan(
            nodes=2,
            devices_per_node=2,
            launcher="rank_table",
            has_table=True,
            address="slurm",
            hccn_conf=Path("/nowhere"),
            device_target="Ascend",
            python=Path(sys.executable),
            checkout=self.workshop.job_dir.path,
            command=(sys.executable, "-SE", "-u", "-c", imports + textwrap.dedent(script)),
            environment={"GIVEN": "by the settings"},
            output=self.workshop.job_dir.path / "attempts" / "1" / "output",
            limits=TimeLimits(silence=None, first_step=None),
            grace=5.0,
            gather=30.0,
        )
        return replace(plan, **other)  # type: ignore[arg-type] # a test's own words

    def start(self, script: str, **other: object) -> subprocess.Popen[bytes]:
        """Lay out what the daemon lays out, and start the shim of the job."""
        plan = self.plan(script, **other)
        merge = MergePlan(source=self.workshop.job_dir.output, destination=self.workshop.job_dir.merged)
        JobPlan(job=42, name="demo", train=plan, merge=merge).publish(self.workshop.job_dir.plan)
        self.directory.lay_out(plan.nodes)
        plan.output.mkdir(parents=True, exist_ok=True)
        plan.environments.publish(self.records.environment)
        return self.again()

    def again(self) -> subprocess.Popen[bytes]:
        """Start a shim of the job; what it says nobody needs."""
        command = [sys.executable, "-c", DRIVER, str(self.workshop.job_dir.path), "1"]
        return subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL)

    def run(self, script: str, **other: object) -> StepExit:
        """Return how a training ended."""
        assert self.start(script, **other).wait(timeout=60) in {0, 1}
        return self.exit()

    def exit(self) -> StepExit:
        """Read exit.json."""
        return StepExit.read(self.records.exit)

    def state(self, number: int) -> NodeState:
        """Read what a node says; an empty one until it says something."""
        return NodeState.now(self.directory.state(number)) or NodeState()

    def until_training(self) -> None:
        """Wait until all ranks run."""
        logs = [self.log(rank) for rank in range(4)]
        self.workshop.eventually(
            lambda: all(log.exists() and "trains" in log.read_text() for log in logs), "all ranks train"
        )
        self.workshop.eventually(lambda: all(self.state(number).pids for number in (0, 1)), "both nodes say so")

    def log(self, rank: int) -> Path:
        """Return where a rank prints."""
        return self.plan("").ranks[rank].log

    def ask(self, stop: str) -> None:
        """Want the training to end, as the daemon does."""
        Request(seq=1, stop=stop).publish(self.directory.request)


def _start_all(nodes: int, job_dir: str, attempt: str) -> int:
    """Start a shim for each node; end all when one exits other than 0, or at TERM, as srun does. Return the worst."""
    shims = [
        subprocess.Popen(
            [sys.executable, "-m", "handlers.shim.node", job_dir, attempt],
            env={**os.environ, "SLURM_NODEID": str(number), "SLURMD_NODENAME": f"n{number + 1}"},
            start_new_session=True,
        )
        for number in range(nodes)
        if str(number) != os.environ.get("ABSENT")
    ]

    def end(*_: object) -> None:
        for shim in shims:
            with contextlib.suppress(ProcessLookupError):
                shim.terminate()

    signal.signal(signal.SIGTERM, end)
    by_pid = {shim.pid: shim for shim in shims}
    worst = 0
    while by_pid:
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        if shim := by_pid.pop(pid, None):
            shim.returncode = code
            if code:
                end()
                worst = worst or 128 - code if code < 0 else code
    return worst


if __name__ == "__main__":
    sys.exit(_start_all(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
