"""What a job's training starts from: which published output, whose it is, and what people are told of it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from daemon.core.root import Root
from daemon.core.states import Job
from handlers.codes import Code
from handlers.merging.latest import leads_to, real
from handlers.records.job_dir import is_number
from handlers.records.job_plan import Base, JobPlan
from handlers.validate.check import CheckedConfig
from handlers.validate.initial_weights import NoBaseError, published_name, weights_to_load


def base_of(job: Job, checked: CheckedConfig, root: Root, own: Mapping[str, Path], *, is_resumed: bool) -> Base | None:
    """Return what `job` starts from; None where its file names that, or nothing. Raises NoBaseError, and OSError.

    An attempt that glmd begins by itself goes on from what the one before it did: they are one training.
    """
    if is_resumed:
        return _base_of_before(job, root)
    weights = weights_to_load(checked.section, checked.prefix, root.latest, own)
    if weights is None:
        return None
    number = _job_with(weights, root)
    what = str(weights) if number is None else f"job {number}"
    return Base(weights=weights, job=number, told=f"{what} ({_why(job, checked, root, weights)})")


def _base_of_before(job: Job, root: Root) -> Base | None:
    plan = job.directory(root.path).plan
    try:
        base = JobPlan.read(plan).base
    except (FileNotFoundError, ValidationError):
        return None
    if base is not None and not base.weights.exists():
        hint = f"put it back, or start from what is published now: glmd retry {job.id}"
        raise NoBaseError(f"{base.weights}, which it started from, is not there any more", hint, Code.PROMOTION_GONE)
    return base


def _why(job: Job, checked: CheckedConfig, root: Root, weights: Path) -> str:
    """Return what led to `weights`."""
    name = published_name(checked.section, checked.prefix)
    if not name:
        return "continue_from: its path"
    if leads_to(root.latest / name) == weights.parent:
        return f"latest/{name}"
    return f"what nightly cycle {job.cycle} has promoted last"


def _job_with(weights: Path, root: Root) -> int | None:
    """Return the job whose output `weights` is."""
    jobs, place = real(root.jobs), real(weights)
    if not place.is_relative_to(jobs):
        return None
    number = place.relative_to(jobs).parts[0].partition("-")[0]
    return int(number) if is_number(number) else None
