"""What can be wrong between a root and its store."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

START_GLMD = "start glmd, which continues from there (systemctl start glmd)"
"""What repairs most of it."""


class Kind(StrEnum):
    """What disagrees with what."""

    UNREADABLE = "unreadable"
    """A row or a record says nothing that glmd understands."""
    HISTORY = "history"
    """A job has no history, or one that the table of transitions does not allow, or that ends elsewhere."""
    JOB_WITHOUT_DIRECTORY = "job-without-directory"
    DIRECTORY_WITHOUT_JOB = "directory-without-job"
    FILE_MISSING = "file-missing"
    """A job's directory lacks what its state says was written there."""
    CLAIM_LEFT = "claim-left"
    """A dropped file was taken, and is neither a job nor rejected."""
    CLAIM_OF_TWO_JOBS = "claim-of-two-jobs"
    CLAIMED_TWICE = "claimed-twice"
    """One dropped file became two jobs, or lies in two claims."""
    NO_SHIM = "no-shim"
    """The state says that a step runs, and no shim runs it."""
    STRAY_SHIM = "stray-shim"
    """A shim runs a step that the state says is over, or not begun."""
    DEVICE_LOCK_LEFT = "device-lock-left"
    DEVICE_NOT_LOCKED = "device-not-locked"
    EXIT_CONTRADICTS = "exit-contradicts"
    """How a step ended, says exit.json, is not what the state says."""
    OUTPUT_PARTIAL = "output-partial"
    """`merged/` lacks its manifest, or a file that is in it."""
    OUTPUT_CHANGED = "output-changed"
    """A published file is not the one that the manifest describes."""
    TEMPORARY_LEFT = "temporary-left"
    """A file that was being written when its writer was killed."""
    LATEST = "latest"
    """`latest/PREFIX` is no link to a whole output of that prefix, or not where the store says."""
    PROMOTION = "promotion"
    """What the store says was promoted is not there, or of a job that it does not know."""
    SLURM_JOB_OF_NONE = "slurm-job-of-none"
    """Slurm has a job of this root that no row is about, or of an attempt that is over."""
    SLURM_DUPLICATE = "slurm-duplicate"
    """Slurm has two jobs of one attempt."""
    OWNER_WITHOUT_INTENT = "owner-without-intent"
    """An attempt began in Slurm, and nothing says that it was to be submitted."""
    SUBMITTED_UNKNOWN = "submitted-unknown"
    """A job is to be with Slurm, which has none of its name, and nothing says how it ended."""
    REJECTED_WITHOUT_REASON = "rejected-without-reason"
    REASON_WITHOUT_FILE = "reason-without-file"


@dataclass(frozen=True)
class Disagreement:
    """One thing that is wrong, and what to do about it."""

    kind: Kind
    job: int | None
    where: Path
    what: str
    repair: str

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return asdict(self) | {"where": str(self.where)}

    def __str__(self) -> str:
        """Return it as a line."""
        of_job = f"job {self.job}: " if self.job is not None else ""
        return f"{self.kind}: {of_job}{self.where}: {self.what}; {self.repair}"


Disagreements = Iterable[Disagreement]
