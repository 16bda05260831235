"""Which output a job's own is held against."""

from collections.abc import Callable
from pathlib import Path

from daemon.core.root import Root
from daemon.core.states import Job


def champions(root: Root) -> Callable[[Job], Path | None]:
    """Return what tells, of a job, the output that others go on from now: what `latest/PREFIX` leads to."""
    return lambda job: root.latest / job.prefix if job.prefix else None
