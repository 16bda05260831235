"""Letting all nodes of a training begin at once, when each has said what it brings."""

import time
from collections.abc import Sequence

from handlers.codes import Code
from handlers.errors import HandlerError
from handlers.event_lines import Log
from handlers.rank_table.table import write
from handlers.records.nodes import NodesDir, Part, Start
from handlers.records.nodes_plan import NodesPlan
from handlers.records.step_exit import Outcome
from handlers.records.train_plan import ProcessPlan
from handlers.shim.begun import Begun
from handlers.shim.gathering import gathered
from handlers.shim.instance import StepRun
from handlers.shim.processes import Processes
from handlers.shim.supervise import StepEnd
from handlers.training.environment import inherited, whole_environment
from handlers.training.launchers import Launch, Meeting
from handlers.training.launchers.cluster import free_port, scheduler


class NodesBeginning:
    """Gathers what nodes bring, and lets them begin: once, by start.json."""

    def __init__(
        self,
        run: StepRun,
        plan: NodesPlan,
        directory: NodesDir,
        begun: Begun,
        processes: Processes,
        names: Sequence[str],
        log: Log,
    ) -> None:
        self._run = run
        self._plan = plan
        self._directory = directory
        self._begun = begun
        self._processes = processes
        self._names = names
        self._log = log
        self._is_done = False
        self.places: dict[int, tuple[int, str]] = {}
        """By rank: its device, and the node's name."""

    def cannot(self) -> StepEnd | None:
        """Let all begin when each has said what it brings; return why they never will. Raises OSError."""
        if self._is_done:
            return None
        parts = [Part.now(self._directory.part(number)) for number in range(self._plan.nodes)]
        there = [part for part in parts if part is not None]
        if len(there) < len(parts):
            return self._too_late([name for name, part in zip(self._names, parts, strict=True) if part is None])
        if unfit := [part for part in there if part.unfit]:
            reason = "; ".join(f"{part.node} is unfit: {', '.join(part.unfit)}" for part in unfit)
            return StepEnd(Outcome.FAILED, reason, unfit[0].code, nodes_unfit=tuple(part.node for part in unfit))
        try:
            self._begin(there)
        except HandlerError as error:
            return StepEnd(Outcome.FAILED, str(error), error.code)
        self._is_done = True
        return None

    def _too_late(self, absent: Sequence[str]) -> StepEnd | None:
        if time.monotonic() - self._begun.at <= self._plan.gather:
            return None
        reason = (
            f"{', '.join(absent)} did not report its devices in {self._plan.gather:g} s (slurm.gather): see "
            f"{self._directory.path}/nodes and {self._directory.slurm}/nodes.log"
        )
        return StepEnd(Outcome.FAILED, reason, Code.SLURM_NODE_UNFIT, nodes_unfit=tuple(absent))

    def _begin(self, parts: Sequence[Part]) -> None:
        found = gathered(parts)
        table = None if found.table is None else write(found.table, self._directory.path)
        for part, ranks in zip(parts, found.ranks, strict=True):
            self.places |= {place.rank: (place.device, part.node) for place in ranks}
        meeting = None
        if self._plan.launcher == "cluster":
            meeting = Meeting(parts[0].address, free_port(parts[0].address))  # this host: the batch step's is the first
            self._start(self._scheduler(meeting))
        Start(
            seq=1,
            table=table,
            size=self._plan.size,
            ranks=found.ranks,
            host="" if meeting is None else meeting.host,
            port=None if meeting is None else meeting.port,
        ).publish(self._directory.start)
        nodes = [part.node for part in parts]
        self._log.info("nodes_gathered", nodes=nodes, ranks=self._plan.size, path=table or self._directory.start)

    def _scheduler(self, meeting: Meeting) -> ProcessPlan:
        plan = self._plan
        launch = Launch(
            job_dir=self._run.job_dir,
            devices=(),
            device_target=plan.device_target,
            rank_table=None,
            python=plan.python,
            command=plan.command,
            environment=whole_environment(inherited(), plan.environment or {}, plan.python, plan.checkout, plan.output),
            ranks_in_all=plan.size,
            own_output=plan.output,
        )
        return scheduler(launch, meeting)

    def _start(self, process: ProcessPlan) -> None:
        """Start the scheduler here and not below a node's shim: the ranks of one may end seconds before the others."""
        pid = self._begun.children.start(process)
        self._begun.started[pid] = self._processes.running[pid] = process
        self._log.info("process_started", role=process.role, pid=pid)
