"""A training on several nodes as a whole: begun, watched and ended by the shim of its job.

Each node's shim sees to its own ranks, and tells. Here it is decided that all begin, and that all end: when somebody
asks for it, a rank of some node fails, a node falls silent, a limit passes or the training diverges.
"""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType

from handlers.codes import Code
from handlers.event_lines import Log
from handlers.rank_log.last_words import last_line, no_words
from handlers.rank_log.phase import Phase
from handlers.records.nodes import Control, NodesDir, Request
from handlers.records.nodes_plan import NodesPlan
from handlers.records.step_exit import Outcome, Silences
from handlers.records.train_plan import ProcessPlan, Role, TrainPlan
from handlers.shim.begun import Begun, place_name
from handlers.shim.blame import Blame, blame, witnesses_of
from handlers.shim.instance import StepRun
from handlers.shim.limit_clock import LimitClock, PassedLimit
from handlers.shim.nodes_beginning import NodesBeginning
from handlers.shim.nodes_watch import NodesWatch, named
from handlers.shim.processes import Processes
from handlers.shim.signs_of_life import Resting, SignsOfLife
from handlers.shim.stacks import stopped
from handlers.shim.step_recorder import recorder_of
from handlers.shim.supervise import StepEnd, diverged_end, with_survivors
from handlers.shim.termination import LOOK_EVERY
from handlers.shim.wakeups import Wakeups
from handlers.units.host_lists import hosts

OTHER_CAUSES = 2.0
"""Seconds after a first failure in which others are waited for: the cause may come after its echo."""
LAST_RECORDS = 3.0
"""Seconds after the end of what runs the nodes' shims in which their records may come."""
_MORE_THAN_GRACE = 12.0
"""Seconds that a node may take to end its ranks beside the grace: for KILL, and for its record."""


def names_of_nodes() -> tuple[str, ...]:
    """Return what Slurm calls the nodes of this job, in the order of their numbers; nothing where it does not say."""
    return hosts(os.environ.get("SLURM_JOB_NODELIST", ""))


class JobTraining:
    """One run of it. Must be used in the main thread of a process without children of its own."""

    def __init__(
        self, run: StepRun, plan: NodesPlan, directory: NodesDir, command: Sequence[str], wakeups: Wakeups, log: Log
    ) -> None:  # fmt: skip
        self._run = run
        self._plan = plan
        self._directory = directory
        self._wakeups = wakeups
        self._log = log
        self._control = Control()
        self._beaten = 0.0
        self._limit_comes = False
        self._guilty: Blame | None = None
        self._passed: PassedLimit | None = None
        self._failed_at = self._ended_at = 0.0
        """When it was first seen that a rank failed, and that what runs the nodes' shims is gone."""
        starter = ProcessPlan(
            role=Role.NODES,
            ranks=plan.ranks,
            argv=tuple(command),
            environment=dict(os.environ),
            directory=directory.path,
            log=directory.starter,
        )
        whole = TrainPlan(processes=(starter,), limits=plan.limits, grace=plan.grace, stop_on=plan.stop_on)
        self._begun = Begun(whole, SignsOfLife(plan.ranks, plan.output / "checkpoint"))
        self._signs = Resting(self._begun.signs)
        self._clock = LimitClock(plan.limits, self._begun.at)
        self._recorder = recorder_of(run, whole, log)
        self._nodes = NodesWatch(directory, plan.nodes, plan.node_silence, names_of_nodes())
        self._processes = Processes(self._begun, wakeups, log)
        names = [node.name for node in self._nodes.nodes]
        self._beginning = NodesBeginning(run, plan, directory, self._begun, self._processes, names, log)

    def run(self) -> StepEnd:
        """Start the shims of all nodes, and return how it ended; nothing is left of it here. Raises OSError."""
        signal.signal(signal.SIGUSR1, self._note_limit)
        self._say()
        starter = self._begun.plan.processes[0]
        self._starter = self._begun.children.start(starter)
        self._begun.started[self._starter] = self._processes.running[self._starter] = starter
        end = StepEnd(Outcome.FAILED, "the shim of the job failed")
        try:
            end = self._watch()
        finally:
            self._end(end)
            if self._recorder is not None:
                self._recorder.finish()
        return self._report(end)

    def _note_limit(self, _: int, __: FrameType | None) -> None:
        self._limit_comes = True

    def _say(self, **changes: object) -> None:
        """Give all nodes a sign of life, with what is wanted of them."""
        self._control = self._control.model_copy(update={**changes, "seq": self._control.seq + 1})
        self._control.publish(self._directory.control)
        self._beaten = time.monotonic()

    def _beat(self) -> None:
        if time.monotonic() - self._beaten < self._plan.beat:
            return
        try:
            self._say()
        except OSError as error:
            self._beaten = time.monotonic()
            self._log.warning("beat_missed", reason=str(error))

    # Watching

    def _watch(self) -> StepEnd:
        """Wait until there is a reason to end the training, or it has ended well."""
        # Of several that are seen at once the first counts: who ends a job from outside signals all of it.
        questions = (
            self._completed,
            self._asked_to_end,
            self._beginning.cannot,
            self._failed,
            self._unfit,
            self._without_a_word,
            self._silent,
            self._diverged,
            self._past_a_limit,
        )
        while True:
            self._processes.collect()
            self._nodes.look()
            self._look()
            for ask in questions:
                if (end := ask()) is not None:
                    return end
            self._beat()
            self._wakeups.wait(min(self._clock.seconds_left(), LOOK_EVERY))

    def _look(self) -> None:
        self._clock.look(time.monotonic())
        sign = self._signs.look()  # first: it lists the directories of the logs, which ranks elsewhere have made
        if sign is not None:
            self._clock.sign_of_life(sign.phase)
        if self._recorder is not None:
            self._recorder.look()

    def _completed(self) -> StepEnd | None:
        if not self._nodes.have_ended_well:
            return None
        return StepEnd(Outcome.COMPLETED, "", silences=self._silences())

    def _asked_to_end(self) -> StepEnd | None:
        """Return how it ends because somebody wants it, or Slurm's time limit comes."""
        if (stop := self._wakeups.stop) is not None:
            return StepEnd(Outcome.ENDED_OUTSIDE, f"stopped by {stop.name} from Slurm", Code.SHIM_STOPPED)
        request = Request.now(self._directory.request)
        if request is not None and request.stop is not None:
            return StepEnd(Outcome.CANCELLED, f"stopped by {request.stop}", Code.SHIM_STOPPED)
        if self._limit_comes:
            reason = "the Slurm job reaches its time limit (slurm.time)"
            return StepEnd(Outcome.TIMED_OUT, reason, Code.SLURM_TIME, limit="slurm.time")
        return None

    def _failed(self) -> StepEnd | None:
        """Return how it ended where a rank has failed, or the scheduler."""
        own = [one for one in self._processes.failed if one.role is Role.SCHEDULER]
        if not own and not self._nodes.have_failed:
            return None
        now = time.monotonic()
        self._failed_at = self._failed_at or now
        if now - self._failed_at < OTHER_CAUSES and not self._nodes.have_ended:
            return None
        mine = {pid: one for pid, one in self._begun.started.items() if one.role is Role.SCHEDULER}
        kills = self._begun.oom_kills_since()
        self._guilty = found = blame((*self._nodes.witnesses(), *witnesses_of(own, mine, oom_kills=kills)))
        return StepEnd(Outcome.FAILED, found.reason, found.code, diagnosis=found.diagnosis)

    def _unfit(self) -> StepEnd | None:
        """Return how it ended where a node could not do its work."""
        for node in self._nodes.nodes:
            exit_ = node.state.exit
            if exit_ is not None and exit_.why and not exit_.was_told:
                return StepEnd(Outcome.FAILED, f"{node.name}: {exit_.why}", exit_.code or Code.SLURM_NODE_UNFIT)
        return None

    def _unfit_nodes(self, end: StepEnd) -> tuple[str, ...]:
        """Return which nodes could not take part; none where all of several could not: it is not they, then."""
        unfit = tuple(dict.fromkeys((*end.nodes_unfit, *(node.name for node in self._nodes.unfit))))
        return unfit if len(unfit) < max(self._plan.nodes, 2) else ()

    def _without_a_word(self) -> StepEnd | None:
        """Return how it ended where what runs the nodes' shims is gone, and nobody says why."""
        if self._starter in self._processes.running or self._nodes.have_failed:
            return None
        now = time.monotonic()
        self._ended_at = self._ended_at or now
        if not self._nodes.have_ended and now - self._ended_at < LAST_RECORDS:
            return None
        exit_ = next(one for one in self._processes.exits if one.pid == self._starter)
        how = f"srun {f'was killed by {exit_.signal}' if exit_.signal else f'exited {exit_.exit_code}'}"
        if lost := self._nodes.without_end:
            where = f"see {self._directory.path}/nodes and {self._directory.slurm}/nodes.log"
            return StepEnd(
                Outcome.FAILED, f"{named(lost)} did not record how it ended ({how}): {where}", Code.SLURM_NODE_LOST
            )
        ends = [(node.name, node.state.exit) for node in self._nodes.nodes if node.state.exit is not None]
        reasons = "; ".join(f"{name}: {end.why}" for name, end in ends)
        if any(end.code == Code.SLURM_NODE_LOST for _, end in ends):  # by their lease: this process was stopped
            return StepEnd(Outcome.FAILED, f"{reasons} ({how})", Code.SLURM_NODE_LOST)
        return StepEnd(Outcome.ENDED_OUTSIDE, f"{reasons} ({how})", Code.SHIM_STOPPED)

    def _silent(self) -> StepEnd | None:
        silent = self._nodes.silent
        if not silent:
            return None
        reason = f"{named(silent)} gave no sign of life for {self._plan.node_silence:g} s (slurm.node_silence)"
        return StepEnd(Outcome.FAILED, reason, Code.SLURM_NODE_LOST)

    def _diverged(self) -> StepEnd | None:
        return diverged_end(None if self._recorder is None else self._recorder.diverged)

    def _past_a_limit(self) -> StepEnd | None:
        self._passed = self._clock.passed()
        if self._passed is None:
            return None
        reason = (
            f"timeout.{self._passed.setting} is past"  # the nodes are told this; more is known when they have ended
        )
        return StepEnd(Outcome.TIMED_OUT, reason, self._passed.code, limit=self._passed.setting)

    # Ending

    def _end(self, end: StepEnd) -> None:
        """Let all nodes end their ranks, and wait until they have; then end what runs here."""
        is_good = end.outcome is Outcome.COMPLETED
        if not is_good:
            self._log.info("stopping_nodes", reason=end.reason)
            self._tell(end)
            deadline = time.monotonic() + self._plan.grace + _MORE_THAN_GRACE
            while time.monotonic() < deadline and not self._are_over():
                self._processes.collect()
                self._nodes.look()
                self._beat()
                self._wakeups.wait(LOOK_EVERY)
        # The scheduler leaves by itself, after the last rank of all nodes.
        self._processes.end(self._plan.grace, patient=is_good, meanwhile=self._nodes.look)

    def _tell(self, end: StepEnd) -> None:
        try:
            self._say(stop=end.reason, stacks=self._passed is not None)
        except OSError as error:  # then they are ended with what runs their shims, or by their lease
            self._log.error("stop_not_told", reason=str(error))

    def _are_over(self) -> bool:
        """Say whether nobody is left to wait for: who is silent does not end any more, nor who has nobody to run it."""
        silent = {node.number for node in self._nodes.silent}
        if all(node.number in silent for node in self._nodes.without_end):
            return True
        if self._starter in self._processes.running:
            return False
        self._ended_at = self._ended_at or time.monotonic()
        return time.monotonic() - self._ended_at > LAST_RECORDS

    def _report(self, end: StepEnd) -> StepEnd:
        """Return `end` with all that happened since, and what became known only when all was read."""
        diverged = self._diverged()
        if diverged is not None:
            end = diverged if end.outcome is Outcome.COMPLETED else replace(end, divergence=diverged.divergence)
        if self._passed is not None:
            end = replace(end, reason=self._hung(self._passed))
        schedulers = (one for one in self._processes.exits if one.role is Role.SCHEDULER)
        exits = tuple(sorted((*self._nodes.processes(), *schedulers), key=lambda one: one.ended))
        first = None if self._guilty is None else self._guilty.exit_among(exits)
        lost = tuple(node.name for node in self._nodes.without_end)
        unfit = self._unfit_nodes(end) if end.outcome is Outcome.FAILED else ()
        end = replace(end, first=first, processes=exits, nodes_without_record=lost, nodes_unfit=unfit)
        return with_survivors(end, tuple(self._nodes.survivors()))

    def _silences(self) -> Silences:
        self._clock.sign_of_life()  # the end is one
        longest = {phase.value: self._clock.longest(phase) for phase in Phase}
        return Silences(configuration=self._plan.configuration, **longest)

    def _hung(self, passed: PassedLimit) -> str:
        """Say which limit was passed at what, and of the rank quiet for longest what it said last and where it is."""
        frames = self._nodes.frames()
        quietest = self._begun.signs.quietest(stopped(frames))
        device, node = self._beginning.places.get(quietest.number, (None, None))
        name = place_name(quietest.number, device, node)
        words = last_line(quietest.log) or no_words(quietest.log)
        return passed.reason(self._plan.limits, name, words, frames.get(quietest.number))
