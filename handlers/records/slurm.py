"""Records of a training's job in Slurm, in `attempts/1/train/slurm`: the daemon alone writes them."""

from typing import Annotated

from pydantic import Field

from handlers.records.record import Count, Moment, Record

JobId = Annotated[str, Field(pattern=r"^[0-9]{1,12}$")]
"""Slurm's number of a job: a hint, and never who it is, for slurmctld gives a number away again that it forgot."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
"""The name of a job in Slurm, which no other has. `squeue --name=a,b` is a list of names: so no other characters."""


Node = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
"""What Slurm calls a node."""


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
    """What sbatch gets beside it, and beside what leaves nodes out."""
    wait: float | None = None
    """Seconds within which the job has to have begun; None for as long as it takes."""
    left_out: dict[Node, str] = Field(default_factory=dict)
    """Nodes that earlier attempts were lost on, or that were unfit, with why: --exclude."""
    in_vain: str = ""
    """Why they are not left out anyway: what Slurm said, which has too few nodes without them; empty else."""


class Verdict(Record):
    """verdict.json: what Slurm said when that ended the attempt, so that it is named the same ever after.

    It is written once.
    """

    state: str
    """As `NODE_FAIL`; empty where Slurm went on saying nothing: it did not know the job, or not that it was over."""
    reason: str = ""
    nodes: str = ""
    """The job's, as `n[1-2]`; empty where that is not known."""
    down: dict[Node, str] = Field(default_factory=dict)
    """Those of them that were down, with Slurm's reason."""
    has_record: bool
    """Whether exit.json was there. One that comes later does not count: the next attempt may have been laid out."""
    at: Moment


class Submitted(Record):
    """job.json: which job it is in Slurm, as far as that is known. It may be missing, and is made again then."""

    id: JobId
    how: str
    """How it was found: `sbatch`, `by name`, or `owner.json`."""
    duplicates: tuple[JobId, ...] = ()
    """Others of its name, which were cancelled."""


class SlurmStatus(Record):
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
