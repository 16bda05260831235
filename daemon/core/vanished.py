"""Directories of jobs that are not there any more: whether they may come back, and what to say of it."""

import errno

from daemon.core.root import Root
from daemon.core.states import Job


def is_there(job: Job, root: Root) -> bool:
    """Say whether the directory of `job` is what it was: ranks that save make some of it again. Raises OSError."""
    directory = job.directory(root.path)
    return directory.submitted.exists() or directory.plan.exists()


def refuse_vanished(job: Job, root: Root) -> None:
    """Raise OSError where the directory of `job` is not there, while somebody works in it."""
    if not is_there(job, root):
        raise OSError(errno.ENOENT, f"{why(job, root)}; its processes go on and keep their devices", *_path(job, root))


def why(job: Job, root: Root) -> str:
    """Say what became of the directory of `job`, as far as can be told, and what to do."""
    path = job.directory(root.path).path
    if not root.jobs.is_dir():
        return f"{root.jobs} is not there: put it back"
    namesakes = sorted(other.name for other in root.jobs.glob(f"{job.id:04d}-*") if other != path)
    if namesakes:
        return f"it was renamed: {root.jobs / namesakes[0]} has its number: rename that back"
    return "it was moved or removed: put it back"


def refuse_absent_jobs(root: Root) -> None:
    """Raise OSError where `jobs/` itself is not there: it may come back, and all jobs with it."""
    root.jobs.stat()


def _path(job: Job, root: Root) -> tuple[str]:
    return (str(job.directory(root.path).path),)
