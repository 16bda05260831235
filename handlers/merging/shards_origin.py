"""What made the shards that a job merges: its own training, or anyone who fills the tree that it merges."""

from handlers.ckpt.planning.origin import Origin
from handlers.ckpt.publishing.manifest import utf8
from handlers.records.beginning import training_began
from handlers.records.job_dir import JobDir
from handlers.records.job_plan import JobPlan


def origin_of(plan: JobPlan, directory: JobDir, attempt: int) -> Origin:
    """Return it for a job in its `attempt`-th attempt. Raises OSError."""
    if plan.train is None and not directory.submitted.exists():  # else an earlier attempt has trained all there was
        return Origin(job=plan.job, tree=utf8(str(plan.merge.source)))
    began = training_began(directory, attempt)
    return Origin(job=plan.job, began=None if began is None else began.isoformat())
