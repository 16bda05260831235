"""Submitting an attempt to Slurm: exactly one job of it runs, whatever dies when.

Four things see to that. What is to be submitted is written down before (intent.json); before anything is submitted once
more Slurm is asked for a job of its name, which no other has; of two of one name Slurm itself runs one at a time
(--dependency=singleton); and the shim of the job that comes second finds owner.json made, and ends.
"""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from daemon.serve.steps.slurm.leaving_out import is_leaving_out, left_out_text, sent_options, users_own
from daemon.serve.steps.slurm.states import Phase, Word
from handlers.ckpt.files.durable import UMASK, publish_bytes
from handlers.ckpt.files.listing import is_listed
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir, Owner
from handlers.records.record import Record
from handlers.records.slurm import Intent, Submitted
from handlers.slurm.calling import UnclearError
from handlers.slurm.client import NotTakenError, SlurmClient
from handlers.slurm.placement import Placement
from handlers.slurm.queue import Row

SETTLE = 60.0
"""Seconds in which Slurm may still take a request whose answer was lost: more than twice its MessageTimeout."""

Kept = TypeVar("Kept", bound=Record)


@dataclass(frozen=True)
class Wanted:
    """What is asked of Slurm for a step of one attempt."""

    name: str
    """What the job is called in Slurm, as no other."""
    placement: Placement
    python: str
    """glmd's own interpreter, as the nodes see it."""
    warning: float | None = None
    """Seconds before its time limit at which the job is told; None for a step that can do nothing about it."""
    prologue: str = ""
    """Lines of the batch script, before anything else."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Nodes that earlier attempts were lost on, or that were unfit, with why."""
    wait: float | None = None
    """Seconds within which it has to have begun; None for as long as it takes."""


class SlurmRecords:
    """Where a step of one attempt keeps what concerns its job in Slurm."""

    def __init__(self, job_dir: JobDir, attempt: int, step: Step = Step.TRAIN) -> None:
        self.step = step
        self.nodes = NodesDir(job_dir.step(attempt, step))
        self.intent = self.nodes.intent
        self.job = self.nodes.job
        self.script = self.nodes.slurm / "script.sh"
        self.verdict = self.nodes.verdict

    def owner(self) -> Owner | None:
        """Return which job runs or ran the attempt; None while none has begun. Raises OSError."""
        return read(Owner, self.nodes.owner) if is_listed(self.nodes.owner) else None

    def submitted(self) -> Submitted | None:
        """Return which job it is in Slurm; None while that is not known. Raises OSError."""
        return read(Submitted, self.job)


def read(kind: type[Kept], path: Path) -> Kept | None:
    """Return a record; None where it is not there, or damaged. Raises OSError where that cannot be told."""
    try:
        return kind.read(path)
    except (FileNotFoundError, ValidationError):
        return None


def lay_out(job_dir: JobDir, attempt: int, wanted: Wanted, step: Step = Step.TRAIN) -> None:
    """Write down what is to be submitted, unless something may have been submitted already. Raises OSError."""
    records = SlurmRecords(job_dir, attempt, step)
    before = read(Intent, records.intent)
    if before is not None and before.sent is not None:
        return
    script = script_of(job_dir, attempt, step, wanted).encode()
    publish_bytes(records.script, script, mode=0o750)
    digest = hashlib.sha256(script).hexdigest()
    options = options_of(records, wanted)
    Intent(name=wanted.name, script=digest, options=options, left_out=wanted.left_out, wait=wanted.wait).publish(
        records.intent
    )


def submit(
    job_dir: JobDir, attempt: int, client: SlurmClient, settle: float = SETTLE, step: Step = Step.TRAIN
) -> Submitted:
    """Let Slurm have exactly one job of this attempt of `step`, and return which. It may be called again and again.

    Raises UnclearError where nothing is known yet and nothing more was done, NotTakenError, OSError, and
    ValidationError where somebody has written into intent.json.
    """
    records = SlurmRecords(job_dir, attempt, step)
    if (known := records.submitted()) is not None:
        return known
    intent = Intent.read(records.intent)
    if (owner := records.owner()) is not None and owner.job.isdecimal():
        return _keep(records, Submitted(id=owner.job, how="owner.json"))
    found = client.jobs_called(intent.name)
    refused = [row for row in found if Word.of(row).is_refusal]
    found = tuple(row for row in found if row not in refused)
    if found:
        mine = which(found)
        return _keep(records, Submitted(id=mine.id, how="by name", duplicates=cancel_others(client, found, mine)))
    if refused and len(refused) >= intent.tries:
        return _again(records, client, NotTakenError(f"Slurm says {Word.of(refused[-1])}"))
    if (left := unsettled(intent, settle)) > 0:
        raise UnclearError(f"Slurm has not confirmed a submission, and may still accept it for {left:.0f} s")
    try:
        return _send(records, intent, client)
    except NotTakenError as error:
        return _again(records, client, error)


def _send(records: SlurmRecords, intent: Intent, client: SlurmClient) -> Submitted:
    sent = intent.model_copy(update={"tries": intent.tries + 1, "sent": datetime.now(UTC)})
    sent.publish(records.intent)
    number = client.submit(sent_options(sent), records.script)
    return _keep(records, Submitted(id=number, how="sbatch"))


def _again(records: SlurmRecords, client: SlurmClient, error: NotTakenError) -> Submitted:
    """Submit it without leaving nodes out, where it was refused with that: rather a bad node than none.

    Raises `error` where no nodes were left out, and else as `submit` does.
    """
    intent = Intent.read(records.intent)  # as it was sent
    if not is_leaving_out(intent):
        raise error
    return _send(records, intent.model_copy(update={"in_vain": str(error)}), client)


def leave_none_out(job_dir: JobDir, attempt: int, client: SlurmClient, why: str) -> str:
    """Let the job, which waits in Slurm's queue, have all nodes; return what there is to tell. Raises as `submit` does.

    It is the same job: nothing is submitted again.
    """
    records = SlurmRecords(job_dir, attempt)
    intent = Intent.read(records.intent)
    client.exclude(intent.name, users_own(intent))
    intent = intent.model_copy(update={"in_vain": why})
    intent.publish(records.intent)
    return left_out_text(intent)


def withdraw(
    job_dir: JobDir, attempt: int, client: SlurmClient, settle: float = SETTLE, step: Step = Step.TRAIN
) -> bool:
    """Cancel whatever Slurm has of this attempt; return whether it has nothing, nor will. Raises as `submit` does."""
    intent = Intent.read(SlurmRecords(job_dir, attempt, step).intent)
    if intent.sent is None:
        return True
    rows = [row for row in client.jobs_called(intent.name) if Word.of(row).phase is not Phase.OVER]
    cancel(client, rows)
    return not rows and unsettled(intent, settle) <= 0


def unsettled(intent: Intent, settle: float) -> float:
    """Return for how many seconds Slurm may still take a request of which nothing is known; 0 or less for none.

    By this host's clock alone: where that was set back, it is looked once more.
    """
    if intent.sent is None:
        return 0.0
    waited = (datetime.now(UTC) - intent.sent).total_seconds()
    return settle - waited if waited >= 0 else 0.0


def which(rows: Sequence[Row]) -> Row:
    """Return which of the jobs of one name counts: the first that is not over, else the last."""
    in_order = sorted(rows, key=lambda row: int(row.id))
    alive = (row for row in in_order if Word.of(row).phase is not Phase.OVER)
    return next(alive, in_order[-1])


def cancel_others(client: SlurmClient, rows: Sequence[Row], mine: Row) -> tuple[str, ...]:
    """Cancel each other job of that name that is not over, and return their numbers. Raises UnclearError."""
    others = [row for row in rows if row.id != mine.id and Word.of(row).phase is not Phase.OVER]
    return cancel(client, others)


def cancel(client: SlurmClient, rows: Sequence[Row]) -> tuple[str, ...]:
    """Cancel these jobs, and return their numbers. Raises UnclearError."""
    for row in rows:
        client.cancel(row.name, row.id)
    return tuple(row.id for row in rows)


def _keep(records: SlurmRecords, submitted: Submitted) -> Submitted:
    submitted.publish(records.job)
    return submitted


def script_of(job_dir: JobDir, attempt: int, step: Step, wanted: Wanted) -> str:
    """Return the batch script: the site's own lines, and then the shim of the job in the place of the shell."""
    shim = shlex.join([wanted.python, "-P", "-m", "handlers.shim.job", str(job_dir.path), str(attempt), step])
    prologue = f"{wanted.prologue.rstrip()}\n" if wanted.prologue.strip() else ""
    return f"#!/bin/bash\n{prologue}umask {UMASK:04o}\nexec {shim}\n"


def options_of(records: SlurmRecords, wanted: Wanted) -> tuple[str, ...]:
    """Return what sbatch gets beside the script. `--export=ALL` is of the few variables that sbatch itself has.

    `--propagate=NONE`, or the job would have the soft limits of the user who submits it: a daemon's are low, and RDMA
    wants much locked memory.
    """
    signal_option = () if wanted.warning is None else (f"--signal=B:USR1@{wanted.warning:.0f}",)
    return (
        f"--job-name={wanted.name}",
        f"--comment={wanted.name}",
        "--dependency=singleton",
        "--no-requeue",
        f"--chdir={records.nodes.path}",
        f"--output={records.nodes.out}",
        "--open-mode=append",
        "--export=ALL",
        "--propagate=NONE",
        *signal_option,
        *wanted.placement.options,
        *wanted.placement.extra,
    )
