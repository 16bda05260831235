"""What there is to see of a step on nodes of Slurm: its files, and what Slurm says of its job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.serve.steps.slurm.leaving_out import is_leaving_out, left_out_text
from daemon.serve.steps.slurm.queue import Answer
from daemon.serve.steps.slurm.states import Phase, Word, needs_somebody
from daemon.serve.steps.slurm.submission import SlurmRecords, read, which
from handlers.ckpt.files.listing import is_listed
from handlers.codes import Code
from handlers.records.job_dir import Step, StepDir
from handlers.records.nodes import Control, NodeState, Owner, Request
from handlers.records.slurm import Intent, SlurmStatus, Submitted, Verdict
from handlers.records.step_exit import Outcome, StepExit
from handlers.slurm.expected import clock, expected
from handlers.slurm.queue import Row
from handlers.units.host_lists import hosts

WAITED = "given up: it has not begun in time (slurm: wait)"
"""Why a training is to end that Slurm has not begun."""


@dataclass(frozen=True)
class Seen:
    """What the files say now."""

    records: SlurmRecords
    exit: StepExit | None
    owner: Owner | None
    intent: Intent | None
    submitted: Submitted | None
    """Which job it is in Slurm; None where that is not known."""
    states: tuple[NodeState, ...]
    """Of those nodes that say something."""
    control: Control | None
    """What the job's shim says to its nodes; None while it says nothing."""
    beats: tuple[int, ...]
    """What moves as long as anybody lives."""
    verdict: Verdict | None = None
    """What Slurm said when that ended it; None where it has not."""

    @property
    def leaves_out(self) -> bool:
        """Whether it is not to have some nodes that earlier attempts had trouble with."""
        return self.intent is not None and is_leaving_out(self.intent)

    @property
    def left_out(self) -> str:
        """What there is to tell of nodes that it is not to have, as `; without n2 (lost in attempt 1)`."""
        text = "" if self.intent is None else left_out_text(self.intent)
        return f"; {text}" if text else ""

    def row(self, answer: Answer | None) -> Row | None:
        """Return what Slurm answered last of its job; None where it knows none."""
        rows = self._rows(answer)
        mine = [row for row in rows if self.owner is not None and row.id == self.owner.job]
        return which(mine or rows) if rows else None

    def others(self, answer: Answer | None) -> tuple[Row, ...]:
        """Return the jobs of its name that are not its job, and not over: of a request that came very late."""
        mine = self.row(answer)
        rows = (row for row in self._rows(answer) if row != mine)
        return tuple(row for row in rows if Word.of(row).phase is not Phase.OVER)

    def _rows(self, answer: Answer | None) -> tuple[Row, ...]:
        return answer.rows.get(self.intent.name, ()) if answer is not None and self.intent is not None else ()

    def has_waited(self, job: Job) -> bool:
        """Say whether the job has not begun within the time that its file gives it (`slurm: wait`)."""
        limit = self.intent.wait if self.intent is not None else None
        if limit is None or job.state is not State.SUBMITTED or self.owner is not None:
            return False
        return (datetime.now(UTC) - job.changed).total_seconds() > limit

    @property
    def is_ended_for_waiting(self) -> bool:
        """Whether it was to end because it had not begun in time; it may have done so at that moment."""
        request = Request.now(self.records.nodes.request)
        return request is not None and request.stop == WAITED

    def keep_word(self, word: Word, nodes: str, down: Mapping[str, str]) -> Verdict:
        """Write down, once, that this word of Slurm's ended it; return what counts. Raises OSError.

        `nodes` is where Slurm says that it is or was; those that are `down` may be others' as well.
        """
        if self.verdict is not None:
            return self.verdict
        nodes = nodes if self.owner is None else self.owner.nodelist or nodes
        names = hosts(nodes)
        verdict = Verdict(
            state=word.state,
            reason=word.reason,
            nodes=nodes,
            down={node: why for node, why in down.items() if node in names},
            has_record=self.exit is not None,
            at=datetime.now(UTC),
        )
        verdict.publish(self.records.verdict)
        return verdict

    def ask_to_end(self, by: str) -> None:
        """Let the job's shim know, also one that is yet to come, that it is to end the step. Raises OSError."""
        path = self.records.nodes.request
        before = Request.now(path) or Request()
        if before.stop is None:
            before.model_copy(update={"seq": before.seq + 1, "stop": by}).publish(path)


def look(job: Job, root: Root, step: Step = Step.TRAIN) -> Seen:
    """Return what the files of `step` of the present attempt of `job` say. Raises OSError."""
    directory = job.directory(root.path)
    records = SlurmRecords(directory, job.attempt, step)
    # A merge has no nodes' shims: the shim of its job does it, and gives the signs of life.
    numbers = range(job.nodes if step is Step.TRAIN else 0)
    states = [state for number in numbers if (state := NodeState.now(records.nodes.state(number))) is not None]
    control = Control.now(records.nodes.control)
    merges = (control,) if step is Step.MERGE else ()
    return Seen(
        records=records,
        exit=_exit(directory.step(job.attempt, step), step),
        owner=records.owner(),
        intent=read(Intent, records.intent),
        submitted=records.submitted(),
        states=tuple(states),
        control=control,
        beats=tuple(record.seq for record in (*states, *merges) if record is not None),
        verdict=read(Verdict, records.verdict),
    )


def _exit(directory: StepDir, step: Step) -> StepExit | None:
    try:
        return StepExit.read(directory.exit) if is_listed(directory.exit) else None
    except FileNotFoundError:
        return None
    except ValidationError as error:
        now = datetime.now(UTC)
        reason = f"{directory.exit} cannot be read: {error}"
        return StepExit(
            step=step, outcome=Outcome.FAILED, reason=reason, code=Code.SHIM_NO_EXIT, started=now, ended=now
        )  # fmt: skip


def why_it_waits(row: Row, job: Job, now: datetime) -> str:
    """Say what a job in Slurm's queue waits for, and until when as far as Slurm can tell; `now` is local time."""
    nodes = 1 if job.state in {State.MERGING, State.EVALUATING} else job.nodes
    where = f"{nodes} node{'s' * (nodes > 1)}"
    if Word.of(row).phase is None:
        return f"Slurm job {row.id} is {row.state}, which glmd does not know"
    if row.state != "PENDING":
        return f"Slurm job {row.id} is {row.state} on {row.nodes or where}"
    if needs_somebody(row.reason):
        seen = f"see `scontrol show job {row.id}`"
        return f"Slurm job {row.id} waits for {row.reason}, which does not end by itself: {seen}"
    start = expected(row.start, now)
    until = "" if start is None else f", expected {clock(start, now)}"
    return f"Slurm job {row.id} waits for {row.reason}{until} ({where})"


def record_of(row: Row, now: datetime) -> SlurmStatus:
    """Return what Slurm says of a job as it is kept for those who only look; `now` is local time."""
    start = expected(row.start, now) if Word.of(row).phase is Phase.WAITS else None
    return SlurmStatus(
        id=row.id,
        state=row.state,
        reason="" if row.reason == "None" else row.reason,
        partition=row.partition,
        nodes=row.nodes,
        expected=None if start is None else start.astimezone(),
    )
