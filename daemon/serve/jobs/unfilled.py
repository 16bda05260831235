"""Waiting jobs whose directories have nothing to run: whether somebody is still to fill them."""

from dataclasses import dataclass

from daemon.core.names import claims_of
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job, Source
from daemon.core.store import Store
from handlers.codes import Code


@dataclass(frozen=True)
class Never:
    """Why nobody will fill it."""

    reason: str
    code: Code


def why_never(job: Job, store: Store, root: Root, settings: Settings) -> Never | None:
    """Return why nobody will ever fill the directory of `job`; None while somebody may, as after a crash.

    Raises OSError, also where `jobs/` itself is not there: it may come back, and the jobs with it.
    """
    root.jobs.stat()
    claim, directory = store.claim_of(job), job.directory(root.path)
    if job.source is Source.TREE:
        if any(claim.startswith(claims_of(tree.path)) for tree in settings.watch):
            return None  # its next look plans the merge
        reason = f"{directory.plan} is not there, and its tree is no longer watched (watch: in the settings)"
        return Never(reason, Code.JOB_TREE_GONE)
    if (root.claims / claim).exists():
        return None
    reason = f"{directory.submitted} is not there: it was moved or removed while the job waited; drop the file again"
    return Never(reason, Code.JOB_DIRECTORY_GONE)
