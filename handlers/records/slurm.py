"""Records of a training's job in Slurm, in `attempts/1/train/slurm`: the daemon alone writes them."""

from typing import Annotated

from pydantic import Field

from handlers.records.record import Count, Moment, Record

JobId = Annotated[str, Field(pattern=r"^[0-9]{1,12}$")]
"""Slurm's number of a job: a hint, and never who it is, for slurmctld gives a number away again that it forgot."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
"""The name of a job in Slurm, which no other has. `squeue --name=a,b` is a list of names: so no other characters."""


class Intent(Record):
    """intent.json: that the job is to be submitted. Durable before each sbatch."""

    name: Name
    tries: Count = 0
    """How often sbatch was called, or was about to be."""
    sent: Moment | None = None
    """When it was called last."""
    script: str
    """The SHA-256 of script.sh."""
    options: tuple[str, ...] = ()
    """What sbatch gets beside it."""


class Submitted(Record):
    """job.json: which job it is in Slurm, as far as that is known. It may be missing, and is made anew then."""

    id: JobId
    how: str
    """How it was found: `sbatch`, `by name`, or `owner.json`."""
    duplicates: tuple[JobId, ...] = ()
    """Others of its name, which were cancelled."""


class Said(Record):
    """said.json: what Slurm said last of the job, for those who only look: it decides nothing, and may be missing."""

    id: JobId
    state: str
    """As `PENDING`."""
    reason: str = ""
    """Why it is in this state; empty where Slurm gives none."""
    partition: str = ""
    nodes: str = ""
    """As `n[1-2]`; empty while it has none."""
    expected: Moment | None = None
    """When it is to start; None once it has, and where Slurm does not know."""
