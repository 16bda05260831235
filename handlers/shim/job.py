"""Runs a step on the nodes that Slurm has given it: the batch step of its job, one on the first node.

    python -m handlers.shim.job JOB_DIR ATTEMPT [STEP]

It is the one that runs the attempt, or ends at once (owner.json, made by link), and writes exit.json in the end, whole
and last. For a training it starts a shim on each node; lets all begin when it knows the devices of all; and watches
them as a whole. Shards it merges itself. TERM and USR1 are Slurm's: TERM for whatever ends a job from outside, USR1,
where it was asked for, some time before its time limit.
Exit codes: 0 completed, 1 not completed, 2 bad usage, 75 refused because somebody else runs it or it has ended.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from handlers.ckpt.files.durable import UMASK
from handlers.ckpt.files.listing import is_listed
from handlers.event_lines import EventLog, Log
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir, Owner
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome
from handlers.shards.names import see_anew
from handlers.shim.fence import linked
from handlers.shim.finish import conclude, saved
from handlers.shim.home import Home
from handlers.shim.instance import StepRun
from handlers.shim.job_merge import merge_until_stopped
from handlers.shim.job_training import JobTraining
from handlers.shim.patience import patiently
from handlers.shim.reading_plan import read_nodes_plan
from handlers.shim.run import EXIT_COMPLETED, EXIT_NOT_COMPLETED, EXIT_REFUSED
from handlers.shim.supervise import StepEnd
from handlers.shim.wakeups import Wakeups

StartNodes = Callable[[StepRun, int], Sequence[str]]
"""Returns the command that runs a node's shim on each of so many nodes, and ends when the last has."""


def srun(run: StepRun, nodes: int) -> tuple[str, ...]:
    """Return how Slurm starts a shim on each node of this job: see slurm.schedmd.com/srun.html.

    That one which dies silently ends the others, and one that has ended does not, is said here: sites set either
    (KillOnBadExit, WaitTime).
    """
    return (
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        "--kill-on-bad-exit=1",
        "--wait=0",
        "--cpu-bind=none",
        "--mpi=none",
        "--export=ALL",
        "--open-mode=append",
        f"--output={run.directory.path}/nodes/%n.log",  # NodesDir.log
        sys.executable,
        "-P",
        "-m",
        "handlers.shim.node",
        str(run.job_dir.path),
        str(run.attempt),
    )


def main(arguments: Sequence[str] | None = None, start_nodes: StartNodes = srun) -> int:
    """Run the step of the attempt that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m handlers.shim.job", description="Runs a step on Slurm's nodes.")
    parser.add_argument("job_dir", type=Path, metavar="JOB_DIR")
    parser.add_argument("attempt", type=int, metavar="ATTEMPT")
    steps = (Step.TRAIN, Step.MERGE)
    parser.add_argument("step", type=Step, choices=steps, nargs="?", default=Step.TRAIN, metavar="STEP")
    given = parser.parse_args(arguments)
    run = StepRun(JobDir(given.job_dir.absolute()), given.attempt, given.step)
    log = EventLog(run.job_dir.events, job=run.job, attempt=run.attempt, step=run.step)
    with Wakeups() as wakeups, Home(run.job_dir) as home:
        directory, me = NodesDir(run.directory), ProcessIdentity.of(os.getpid())
        mine = patiently("owner.json", partial(_take, directory, me), wakeups, log)
        if not mine or is_listed(run.directory.exit):
            log.warning("shim_refused", path=directory.path, reason="it has ended" if mine else "another job runs it")
            return EXIT_REFUSED
        started = datetime.now(UTC)
        who = ShimRecord(pid=me.pid, start_time=me.start_time, boot_id=me.boot_id, started=started)
        patiently("shim.json", partial(who.publish, run.directory.shim), wakeups, log)
        log.info("step_started", slurm=os.environ.get("SLURM_JOB_ID"))
        if run.step is Step.MERGE:
            work = partial(merge_until_stopped, run, directory, home, wakeups, log)
        else:
            work = partial(_train, run, directory, start_nodes, wakeups, log)
        return EXIT_COMPLETED if conclude(run, work, started, home, wakeups, log) else EXIT_NOT_COMPLETED


def _take(directory: NodesDir, me: ProcessIdentity) -> bool:
    """Be the one that runs this attempt; return False where somebody else is, or was. Raises OSError."""
    owner = Owner(
        job=os.environ.get("SLURM_JOB_ID", ""),
        restarts=os.environ.get("SLURM_RESTART_COUNT", ""),
        nodelist=os.environ.get("SLURM_JOB_NODELIST", ""),
        host=os.uname().nodename,
        pid=me.pid,
        start_time=me.start_time,
        boot_id=me.boot_id,
    )
    return linked(directory.owner, (owner.model_dump_json(indent=2) + "\n").encode())


def _train(
    run: StepRun, directory: NodesDir, start_nodes: StartNodes, wakeups: Wakeups, log: Log
) -> StepEnd:  # fmt: skip
    plan = read_nodes_plan(run.job_dir, run.directory.environment)
    end = JobTraining(run, plan, directory, start_nodes(run, plan.nodes), wakeups, log).run()
    see_anew(plan.output)
    return saved(end, (plan.output,), plan.command, log) if end.outcome is Outcome.COMPLETED else end


if __name__ == "__main__":
    os.umask(UMASK)
    code = main()
    sys.stderr.flush()
    os._exit(code)  # as in handlers.shim.__main__
