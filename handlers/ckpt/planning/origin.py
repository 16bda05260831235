"""What made the shards of an output, as its manifest keeps it: by this the newer of two outputs is told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """A job of glmd's, or a tree that it watches. All None: a merge by hand, or by a version that did not keep it."""

    job: int | None = None
    """The job that merged."""
    tree: str | None = None
    """The watched tree; None where the job has trained itself."""
    began: str | None = None
    """When the job's training began, ISO 8601 in UTC: its first attempt, whichever saved the shards."""
