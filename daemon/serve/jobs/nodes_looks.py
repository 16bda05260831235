"""What there is to see of an attempt on nodes of Slurm: its files, and what Slurm says of its job."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from daemon.core.root import Root
from daemon.core.states import Job
from daemon.serve.steps.slurm.client import Row
from daemon.serve.steps.slurm.queue import Answer
from daemon.serve.steps.slurm.states import Phase, Word, needs_somebody
from daemon.serve.steps.slurm.submission import SlurmRecords, read, which
from handlers.codes import Code
from handlers.records.job_dir import Step, StepDir
from handlers.records.nodes import NodeState, Owner, Request
from handlers.records.slurm import Intent, Said, Submitted
from handlers.records.step_exit import Outcome, StepExit

_FARTHEST = timedelta(days=30)
"""Beyond that an expected start is none: beside jobs without a limit Slurm tells years."""
_STEP = timedelta(minutes=5)
"""An expected start moves every second while Slurm plans: it is told in such steps."""


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

    def row(self, answer: Answer | None) -> Row | None:
        """Return what Slurm answered last of its job; None where it knows none."""
        rows = self._rows(answer)
        mine = [row for row in rows if self.owner is not None and row.id == self.owner.job]
        return which(mine or rows) if rows else None

    def others(self, answer: Answer | None) -> tuple[Row, ...]:
        """Return the jobs of its name that are not its job, and not over: of a request that came very late."""
        mine = self.row(answer)
        rows = (row for row in self._rows(answer) if row != mine)
        return tuple(row for row in rows if Word(row.state, row.reason).phase is not Phase.OVER)

    def _rows(self, answer: Answer | None) -> tuple[Row, ...]:
        return answer.rows.get(self.intent.name, ()) if answer is not None and self.intent is not None else ()

    @property
    def beats(self) -> tuple[int, ...]:
        """What moves as long as anybody lives."""
        return tuple(state.seq for state in self.states)

    def ask_to_end(self, by: str) -> None:
        """Let the job's shim know, also one that is yet to come, that it is to end the training. Raises OSError."""
        path = self.records.nodes.request
        before = Request.now(path) or Request()
        if before.stop is None:
            before.model_copy(update={"seq": before.seq + 1, "stop": by}).publish(path)


def look(job: Job, root: Root) -> Seen:
    """Return what the files of the present attempt of `job` say. Raises OSError."""
    directory = job.directory(root.path)
    records, step = SlurmRecords(directory, job.attempt), directory.step(job.attempt, Step.TRAIN)
    states = (NodeState.now(records.nodes.state(number)) for number in range(job.nodes))
    return Seen(
        records=records,
        exit=_exit(step),
        owner=records.owner(),
        intent=read(Intent, records.intent),
        submitted=records.submitted(),
        states=tuple(state for state in states if state is not None),
    )


def _exit(step: StepDir) -> StepExit | None:
    try:
        return StepExit.read(step.exit)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        now = datetime.now(UTC)
        reason = f"{step.exit} cannot be read: {error}"
        return StepExit(
            step=Step.TRAIN, outcome=Outcome.FAILED, reason=reason, code=Code.SHIM_NO_EXIT, started=now, ended=now
        )  # fmt: skip


def why_it_waits(row: Row, job: Job, now: datetime) -> str:
    """Say what a job in Slurm's queue waits for, and until when as far as Slurm can tell; `now` is local time."""
    where = f"{job.nodes} node{'s' * (job.nodes > 1)}"
    if Word(row.state, row.reason).phase is None:
        return f"Slurm job {row.id} is {row.state}, which glmd does not know"
    if row.state != "PENDING":
        return f"Slurm job {row.id} is {row.state} on {row.nodes or where}"
    if needs_somebody(row.reason):
        seen = f"see `scontrol show job {row.id}`"
        return f"Slurm job {row.id} waits for {row.reason}, which does not pass by itself: {seen}"
    start = _expected(row.start, now)
    until = f", expected {start:%H:%M}" if start is not None and start.date() == now.date() else ""
    if start is not None and not until:
        until = f", expected {start:%Y-%m-%d %H:%M}"
    return f"Slurm job {row.id} waits for {row.reason}{until} ({where})"


def said(row: Row, now: datetime) -> Said:
    """Return what Slurm says of a job as it is kept for those who only look; `now` is local time."""
    start = _expected(row.start, now) if Word(row.state, row.reason).phase is Phase.WAITS else None
    return Said(
        id=row.id,
        state=row.state,
        reason="" if row.reason == "None" else row.reason,
        partition=row.partition,
        nodes=row.nodes,
        expected=None if start is None else start.astimezone(),
    )


def _expected(told: str, now: datetime) -> datetime | None:
    try:
        start = datetime.fromisoformat(told)
    except ValueError:  # N/A
        return None
    if start.tzinfo is not None or not now <= start <= now + _FARTHEST:
        return None
    past = timedelta(minutes=start.minute % 5, seconds=start.second, microseconds=start.microsecond)
    return start - past + (_STEP if past else timedelta())
