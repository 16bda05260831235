"""Runs the ranks of one node of a training that Slurm has placed; `srun` starts one a node.

    python -m handlers.shim.node JOB_DIR ATTEMPT

SLURM_NODEID and SLURMD_NODENAME say which node it is. It says in part.json which devices it has, waits for start.json,
and tells in state.json that it lives and what becomes of its ranks. It ends them when one fails, when the job's shim
says so in control.json or gives no sign of life, and at TERM. Exit code 0 says that state.json has the end, however
that was: Slurm would kill the other nodes over any other before they could write theirs.
"""

import argparse
import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from handlers.ckpt.errors import CkptError
from handlers.ckpt.files.durable import UMASK, fsync_file, fsync_tree
from handlers.codes import Code
from handlers.error_codes import code_of
from handlers.errors import BadInputError, HandlerError
from handlers.event_lines import EventLog, Log
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodeExit, NodesDir, NodeState, Part, Start
from handlers.records.nodes_plan import NodesPlan
from handlers.records.process import ProcessIdentity
from handlers.records.train_plan import TrainPlan
from handlers.shards.names import DIRECTORIES, SHARD_DIRECTORIES, iteration_directories
from handlers.shards.names import Part as SavedPart
from handlers.shim.begun import Begun, start
from handlers.shim.blame import witnesses_of
from handlers.shim.gathering import VISIBLE, part_of
from handlers.shim.instance import StepRun
from handlers.shim.node_orders import NodeOrders
from handlers.shim.node_preflight import unfitness
from handlers.shim.orders import Order
from handlers.shim.patience import patiently
from handlers.shim.processes import Processes
from handlers.shim.reading_plan import read_nodes_plan
from handlers.shim.stacks import save_stacks
from handlers.shim.termination import LOOK_EVERY
from handlers.shim.wakeups import Wakeups
from handlers.training.environment import inherited, whole_environment
from handlers.training.launchers import Launch, Meeting
from handlers.training.launchers.cluster import workers
from handlers.training.launchers.rank_table import rank_table

_MORE_TO_START = 15.0
"""Seconds that a node waits for start.json longer than the job's shim does for all parts."""


@dataclass(frozen=True)
class Node:
    """Which node this is."""

    number: int
    name: str

    @classmethod
    def of_this_task(cls) -> "Node":
        """Return what srun says. Raises BadInputError where it says nothing."""
        number = os.environ.get("SLURM_NODEID", "")
        if not number.isdecimal():
            raise BadInputError("SLURM_NODEID is not set: srun starts this program, one a node", Code.SHIM_USAGE)
        return cls(int(number), os.environ.get("SLURMD_NODENAME") or os.uname().nodename)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ranks of this node; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m handlers.shim.node", description="Runs one node of a training.")
    parser.add_argument("job_dir", type=Path, metavar="JOB_DIR")
    parser.add_argument("attempt", type=int, metavar="ATTEMPT")
    given = parser.parse_args(arguments)
    run = StepRun(JobDir(given.job_dir.absolute()), given.attempt, Step.TRAIN)
    try:
        node = Node.of_this_task()
    except BadInputError as error:
        parser.error(str(error))
    log = EventLog(job=run.job, attempt=run.attempt, node=node.name)  # several hosts must not write into one file
    with Wakeups() as wakeups:
        return 0 if _Node(run, node, wakeups, log).run() else 1


class _Node:
    def __init__(self, run: StepRun, node: Node, wakeups: Wakeups, log: Log) -> None:
        self._run = run
        self._node = node
        self._wakeups = wakeups
        self._log = log
        self._directory = NodesDir(run.directory)
        me = ProcessIdentity.of(os.getpid())
        self._state = NodeState(node=node.name, pid=me.pid, start_time=me.start_time, boot_id=me.boot_id)
        self._beaten = 0.0
        self._logs: tuple[Path, ...] = ()
        """What this node's ranks print to."""

    def run(self) -> bool:
        """Do all that there is to do here; return whether its end is written down."""
        try:
            end = self._work()
        except (CkptError, HandlerError, OSError) as error:
            end = _ended(why=str(error), code=code_of(error))
        except Exception as error:  # noqa: BLE001 - logged, and told as the end
            self._log.exception("node_shim_broke")
            end = _ended(why=f"unexpected {type(error).__name__}: {error}", code=Code.GLMD_DEFECT)
        self._log.info("node_ended", good=end.is_good, reason=end.why)
        try:
            patiently("state.json", partial(self._say, exit=end), self._wakeups, self._log)
        except OSError as error:
            self._log.error("exit_not_recorded", reason=str(error))
            return False
        return True

    def _work(self) -> NodeExit:
        self._say()
        plan = read_nodes_plan(self._run.job_dir, self._run.directory.environment)
        orders = NodeOrders(self._directory, plan.lease, self._wakeups)
        part = self._part(plan)
        part.publish(self._directory.part(self._node.number))
        self._log.info("part_told", devices=part.devices, address=part.address, unfit=part.unfit)
        begin = self._wait_for_start(plan, orders)
        if isinstance(begin, Order):
            return _ended(why=begin.reason, code=begin.code, was_told=True)
        launched = self._launch(plan, begin)
        self._logs = tuple(rank.log for rank in launched.ranks)
        begun = start(launched, plan.output, self._wakeups, self._log)
        return self._supervise(begun, plan, orders)

    def _part(self, plan: NodesPlan) -> Part:
        """Return what this node brings, or why it cannot take part: the job's shim decides what follows for all."""
        try:
            part, warnings = part_of(plan, self._node.name, os.environ)
            for warning in warnings:
                self._log.warning("rank_table_warning", reason=warning)
            unfit, code = unfitness(plan, part.devices, self._log), Code.SLURM_NODE_UNFIT
        except (HandlerError, OSError) as error:
            part = Part(seq=1, node=self._node.name, host=os.uname().nodename)
            unfit, code = (str(error),), code_of(error)
        return part.model_copy(update={"unfit": unfit, "code": code}) if unfit else part

    def _wait_for_start(self, plan: NodesPlan, orders: NodeOrders) -> Start | Order:
        """Return what all nodes begin with, or why they do not."""
        deadline = time.monotonic() + plan.gather + _MORE_TO_START
        while True:
            if (order := orders.stop()) is not None:
                return order
            if (begin := Start.now(self._directory.start)) is not None:
                return begin
            if time.monotonic() > deadline:
                raise BadInputError(
                    f"{self._node.name} got no order to start in {plan.gather:g} s; see `glmd logs N --slurm batch`",
                    Code.SLURM_NODE_UNFIT,
                )
            self._beat(plan)
            self._wakeups.wait(LOOK_EVERY)

    def _launch(self, plan: NodesPlan, begin: Start) -> TrainPlan:
        mine = begin.ranks[self._node.number]
        environment = whole_environment(inherited(), plan.environment or {}, plan.python, plan.checkout, plan.output)
        environment.pop(VISIBLE, None)  # with it MindSpore would count the devices again, from 0
        launch = Launch(
            job_dir=self._run.job_dir,
            devices=tuple(place.device for place in mine),
            device_target=plan.device_target,
            rank_table=begin.table,
            python=plan.python,
            command=plan.command,
            environment=environment,
            first=mine[0].rank,
            ranks_in_all=begin.size,
            own_output=plan.output,
        )
        if plan.launcher == "rank_table" or begin.port is None:
            processes = rank_table(launch)
        else:
            processes = workers(launch, Meeting(begin.host, begin.port))
        return TrainPlan(processes=processes, limits=plan.limits, grace=plan.grace)

    def _supervise(self, begun: Begun, plan: NodesPlan, orders: NodeOrders) -> NodeExit:
        processes = Processes(begun, self._wakeups, self._log, self._node.name)
        order: Order | None = None
        frames: dict[int, str] = {}
        pids = {process.rank.number: pid for pid, process in begun.started.items() if process.rank is not None}
        try:
            self._say(pids=pids)
            order = self._watch(processes, begun, plan, orders)
            if order is not None and orders.wants_stacks:
                ranks = {pid: one.rank for pid, one in processes.running.items() if one.rank is not None}
                frames = save_stacks(ranks, self._run.directory.stacks, self._log)
        finally:
            patient = order is None and not processes.failed and not begun.failure
            survivors = processes.end(plan.grace, patient=patient, meanwhile=partial(self._beat, plan))
        failure = begun.failure if begun.stopped is None else ""
        end = _ended(
            why=failure or (order.reason if order is not None else ""),
            code=Code.RANK_NOT_STARTED if failure else (order.code if order is not None else ""),
            was_told=not failure and order is not None,
            is_good=order is None and not failure and not processes.failed and not survivors,
        )
        self._sync_logs()
        if end.is_good:
            self._save(plan, pids)
        return end.model_copy(
            update={"processes": tuple(processes.exits), "survivors": survivors, "frames": frames}
        )  # fmt: skip

    def _watch(self, processes: Processes, begun: Begun, plan: NodesPlan, orders: NodeOrders) -> Order | None:
        """Wait until there is a reason to end the ranks, or all have ended; return who wants it, if somebody does."""
        while True:
            processes.collect()
            if not processes.failed and not processes.trains:
                return None if begun.stopped is None else orders.stop()
            # A stop is asked about before a failure: who ends a whole job signals the ranks as well.
            if (order := orders.stop()) is not None:
                return order
            if begun.failure:
                return None
            if failed := processes.failed:
                kills = begun.oom_kills_since()
                witnesses = witnesses_of(failed, begun.started, oom_kills=kills, node=self._node.name)
                self._say(failed=witnesses)  # before the others are ended: what they say is of the failure still
                return None
            self._beat(plan)
            self._wakeups.wait(LOOK_EVERY)

    def _save(self, plan: NodesPlan, ranks: Collection[int]) -> None:
        """Put what this node's ranks have saved onto the disk: another host's pages nobody else can flush."""
        for name in SHARD_DIRECTORIES:
            for rank in ranks:
                fsync_tree(plan.output / name / f"rank_{rank}")
                self._beat(plan)  # it may take long
        checkpoint = plan.output / DIRECTORIES[SavedPart.ITERATION]
        for iteration in iteration_directories(checkpoint) if checkpoint.is_dir() else ():
            fsync_tree(iteration)
            self._beat(plan)

    def _sync_logs(self) -> None:
        """Let other hosts see what this node's ranks have said: pages of an open file reach the server late else."""
        for log in self._logs:
            try:
                fsync_file(log)
            except FileNotFoundError:
                continue  # it has said nothing yet
            except OSError as error:
                self._log.warning("log_not_saved", path=log, reason=str(error))

    # Signs of life

    def _beat(self, plan: NodesPlan) -> None:
        """Give a sign of life, if one is due. That it cannot be given now is no reason to end the ranks."""
        if time.monotonic() - self._beaten < plan.beat:
            return
        try:
            self._say()
        except OSError as error:
            self._beaten = time.monotonic()
            self._log.warning("beat_missed", reason=str(error))
        self._sync_logs()

    def _say(self, **changes: object) -> None:
        path = self._directory.state(self._node.number)
        self._state = self._state.model_copy(update={**changes, "seq": self._state.seq + 1})
        self._state.publish(path)
        offset = path.stat().st_mtime - time.time()
        self._state = self._state.model_copy(update={"clock_offset": offset})
        self._beaten = time.monotonic()


def _ended(*, why: str = "", code: str = "", was_told: bool = False, is_good: bool = False) -> NodeExit:
    reason = " ".join(why.split())
    return NodeExit(is_good=is_good, was_told=was_told, why=reason, code=code, ended=datetime.now(UTC))


if __name__ == "__main__":
    os.umask(UMASK)
    done = main()
    sys.stderr.flush()
    os._exit(done)  # as in handlers.shim.__main__
