"""Submitting an attempt to Slurm: exactly one job of it runs, whatever dies when.

Four things see to that. What is to be submitted is written down before (intent.json); before anything is submitted once
more Slurm is asked for a job of its name, which no other has; of two of one name Slurm itself runs one at a time
(--dependency=singleton); and the shim of the job that comes second finds owner.json made, and ends.
"""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from daemon.serve.steps.slurm.client import Row, SlurmClient, UnclearError
from daemon.serve.steps.slurm.states import Phase, Word
from handlers.ckpt.files.durable import UMASK, publish_bytes
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir, Owner
from handlers.records.record import Record
from handlers.records.slurm import Intent, Submitted

SETTLE = 60.0
"""Seconds in which Slurm may still take a request whose answer was lost: more than twice its MessageTimeout."""

Kept = TypeVar("Kept", bound=Record)


@dataclass(frozen=True)
class Wanted:
    """What is asked of Slurm for one attempt."""

    name: str
    """What the job is called in Slurm, as no other."""
    nodes: int
    devices_per_node: int
    gres: str
    """Of a device: `npu`. Empty where Slurm counts none."""
    python: str
    """glmd's own interpreter, as the nodes see it."""
    warning: float = 0.0
    """Seconds before its time limit at which the job is told."""
    prologue: str = ""
    """Lines of the batch script, before anything else."""
    time: str = ""
    memory: str = ""
    partition: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    exclude: str = ""
    extra: tuple[str, ...] = ()
    """The site's and the user's own options; they come last."""


class SlurmRecords:
    """Where one attempt keeps what concerns its job in Slurm."""

    def __init__(self, job_dir: JobDir, attempt: int) -> None:
        self.nodes = NodesDir(job_dir.step(attempt, Step.TRAIN))
        self.intent = self.nodes.slurm / "intent.json"
        self.job = self.nodes.job
        self.script = self.nodes.slurm / "script.sh"

    def owner(self) -> Owner | None:
        """Return which job runs or ran the attempt; None while none has begun. Raises OSError."""
        return read(Owner, self.nodes.owner)

    def submitted(self) -> Submitted | None:
        """Return which job it is in Slurm; None while that is not known. Raises OSError."""
        return read(Submitted, self.job)


def read(kind: type[Kept], path: Path) -> Kept | None:
    """Return a record; None where it is not there, or damaged. Raises OSError where that cannot be told."""
    try:
        return kind.read(path)
    except (FileNotFoundError, ValidationError):
        return None


def lay_out(job_dir: JobDir, attempt: int, wanted: Wanted) -> None:
    """Write down what is to be submitted, unless something may have been submitted already. Raises OSError."""
    records = SlurmRecords(job_dir, attempt)
    before = read(Intent, records.intent)
    if before is not None and before.sent is not None:
        return
    script = script_of(job_dir, attempt, wanted).encode()
    publish_bytes(records.script, script, mode=0o750)
    digest = hashlib.sha256(script).hexdigest()
    Intent(name=wanted.name, script=digest, options=options_of(records, wanted)).publish(records.intent)


def submit(job_dir: JobDir, attempt: int, client: SlurmClient, settle: float = SETTLE) -> Submitted:
    """Let Slurm have exactly one job of this attempt, and return which. It may be called again and again.

    Raises UnclearError where nothing is known yet and nothing more was done, NotTakenError, OSError, and
    ValidationError where somebody has written into intent.json.
    """
    records = SlurmRecords(job_dir, attempt)
    if (known := records.submitted()) is not None:
        return known
    intent = Intent.read(records.intent)
    if (owner := records.owner()) is not None and owner.job.isdecimal():
        return _keep(records, Submitted(id=owner.job, how="owner.json"))
    found = client.jobs_called(intent.name)
    if found:
        mine = which(found)
        return _keep(records, Submitted(id=mine.id, how="by name", duplicates=cancel_others(client, found, mine)))
    if (left := unsettled(intent, settle)) > 0:
        raise UnclearError(f"a submission is unclear, and Slurm may take it still for {left:.0f} s")
    intent.model_copy(update={"tries": intent.tries + 1, "sent": datetime.now(UTC)}).publish(records.intent)
    number = client.submit(intent.options, records.script)
    return _keep(records, Submitted(id=number, how="sbatch"))


def withdraw(job_dir: JobDir, attempt: int, client: SlurmClient, settle: float = SETTLE) -> bool:
    """Cancel whatever Slurm has of this attempt; return whether it has nothing, nor will. Raises as `submit` does."""
    intent = Intent.read(SlurmRecords(job_dir, attempt).intent)
    if intent.sent is None:
        return True
    rows = [row for row in client.jobs_called(intent.name) if Word(row.state, row.reason).phase is not Phase.OVER]
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
    alive = (row for row in in_order if Word(row.state, row.reason).phase is not Phase.OVER)
    return next(alive, in_order[-1])


def cancel_others(client: SlurmClient, rows: Sequence[Row], mine: Row) -> tuple[str, ...]:
    """Cancel each other job of that name that is not over, and return their numbers. Raises UnclearError."""
    others = [row for row in rows if row.id != mine.id and Word(row.state, row.reason).phase is not Phase.OVER]
    return cancel(client, others)


def cancel(client: SlurmClient, rows: Sequence[Row]) -> tuple[str, ...]:
    """Cancel these jobs, and return their numbers. Raises UnclearError."""
    for row in rows:
        client.cancel(row.name, row.id)
    return tuple(row.id for row in rows)


def _keep(records: SlurmRecords, submitted: Submitted) -> Submitted:
    submitted.publish(records.job)
    return submitted


def script_of(job_dir: JobDir, attempt: int, wanted: Wanted) -> str:
    """Return the batch script: the site's own lines, and then the shim of the job in the place of the shell."""
    shim = shlex.join([wanted.python, "-P", "-m", "handlers.shim.job", str(job_dir.path), str(attempt)])
    prologue = f"{wanted.prologue.rstrip()}\n" if wanted.prologue.strip() else ""
    return f"#!/bin/bash\n{prologue}umask {UMASK:04o}\nexec {shim}\n"


def options_of(records: SlurmRecords, wanted: Wanted) -> tuple[str, ...]:
    """Return what sbatch gets beside the script. `--export=ALL` is of the few variables that sbatch itself has.

    `--propagate=NONE`, or the job would have the soft limits of whoever submits it: a daemon's are low, and RDMA wants
    much locked memory.
    """
    return (
        f"--job-name={wanted.name}",
        f"--comment={wanted.name}",
        "--dependency=singleton",
        "--no-requeue",
        f"--nodes={wanted.nodes}",
        "--ntasks-per-node=1",
        f"--chdir={records.nodes.path}",
        f"--output={records.nodes.out}",
        "--open-mode=append",
        "--export=ALL",
        "--propagate=NONE",
        f"--signal=B:USR1@{wanted.warning:.0f}",
        *placing_of(wanted),
    )


def placing_of(wanted: Wanted) -> tuple[str, ...]:
    """Return what says where the job may run, on what, and by whose account: srun takes it, too."""
    named = {
        "time": wanted.time,
        "mem": wanted.memory,
        "partition": wanted.partition,
        "account": wanted.account,
        "qos": wanted.qos,
        "reservation": wanted.reservation,
        "exclude": wanted.exclude,
        "gres": f"{wanted.gres}:{wanted.devices_per_node}" if wanted.gres else "",
    }
    return (*(f"--{name}={value}" for name, value in named.items() if value), *wanted.extra)
