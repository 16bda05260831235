"""Which output a job's own is compared with."""

from collections.abc import Callable
from pathlib import Path

from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import Job


def champions(root: Root, store: ReadStore) -> Callable[[Job], Path | None]:
    """Return what tells, of a job, the output that it would take the place of.

    Of a nightly cycle's run that is what the cycle has promoted last, else what `latest/PREFIX` leads to.
    """

    def champion(job: Job) -> Path | None:
        if not job.prefix:
            return None
        own = store.bases_of(job.cycle, root.path) if job.cycle else {}
        return own.get(job.prefix, root.latest / job.prefix)

    return champion
