"""Whether what a job has merged may become `latest`. Reads files, so it is work for workers.

None says that the link is not where the store says: that is to be brought together first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from daemon.core.promotions import Promotion, Standing
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.serve.jobs.published import Place, look
from handlers.codes import Code
from handlers.errors import RefusedError
from handlers.gate.verdict import Verdict
from handlers.merging.latest import is_occupied, leads_to, real, whole
from handlers.merging.promotion import Merged, judge, judge_by_all
from handlers.merging.shards_origin import origin_of
from handlers.records.job_plan import JobPlan


class NotPromotedError(RefusedError):
    """An output cannot or may not become `latest`."""

    code = Code.PROMOTION_NOT_WHOLE


@dataclass(frozen=True)
class Weighed:
    """Whether an output becomes `latest` by itself."""

    promoted: bool
    reason: str = ""
    """Why, for people; empty where no training could go on from it, as its own file wanted it."""
    code: str = ""


def weigh(job: Job, root: Root, standing: Standing, rivals: Sequence[Promotion]) -> Weighed | None:
    """Say whether the output of `job` becomes `latest` by itself: it is whole, finite and the newest. Raises OSError.

    `rivals` is what was promoted before, as far as it may be the newest.
    """
    try:
        plan = _plan_of(job, root)
        if not plan.merge.can_be_continued:
            return Weighed(promoted=False)
        if not _is_link_settled(job, root, standing):
            return None
        candidate = _candidate(job, root, plan)
    except NotPromotedError as error:
        return Weighed(promoted=False, reason=str(error), code=error.code)
    earlier = {one: merged for one in rivals if (merged := _merged_of(one, root)) is not None}
    taken_back = {merged.directory for one, merged in earlier.items() if one.undone is not None}
    verdict = judge_by_all(_published(job, root), earlier.values(), taken_back, candidate)
    if verdict.promoted:
        return Weighed(promoted=True, reason=verdict.reason)
    return Weighed(promoted=False, reason=f"latest/{job.prefix} {verdict.reason}", code=verdict.code)


def weigh_as_asked(job: Job, root: Root, standing: Standing, *, force: bool) -> bool:
    """Say whether somebody may let the output of `job` be `latest`; False as None of `weigh`.

    Raises NotPromotedError, and OSError. `force` leaves out the gate's verdict and which training is newer.
    """
    plan = _plan_of(job, root)
    if not plan.merge.can_be_continued:
        raise NotPromotedError(
            f"no training can start from the output of job {job.id}: it is no .ckpt, or without the network's weights",
            Code.PROMOTION_NO_BASE,
        )
    if not _is_link_settled(job, root, standing):
        return False
    candidate = _candidate(job, root, plan)
    if candidate.not_finite:
        names = ", ".join(candidate.not_finite[:3])
        raise NotPromotedError(
            f"the output of job {job.id} holds NaN or infinity ({names}): no training can start from it",
            Code.PROMOTION_NOT_FINITE,
        )
    if force:
        return True
    if why := _why_not_passed(job, root):
        raise NotPromotedError(f"{why}; --force promotes it anyway", Code.PROMOTION_NOT_PASSED)
    if not (verdict := judge(_published(job, root), candidate)).promoted:
        raise NotPromotedError(
            f"latest/{job.prefix} {verdict.reason}; --force promotes job {job.id} anyway",
            Code.PROMOTION_NOT_NEWEST,
        )
    return True


def _plan_of(job: Job, root: Root) -> JobPlan:
    path = job.directory(root.path).plan
    try:
        return JobPlan.read(path)
    except (FileNotFoundError, ValidationError) as error:
        raise NotPromotedError(
            f"glmd cannot know whether a training can start from the output of job {job.id}: {path} "
            f"{'is not there' if isinstance(error, OSError) else 'cannot be read'}",
            Code.PROMOTION_NO_BASE,
        ) from error


def _is_link_settled(job: Job, root: Root, standing: Standing) -> bool:
    """Say whether nothing is to be done about the link first. Raises NotPromotedError where there can be none."""
    if is_occupied(root.latest / job.prefix):
        what = f"latest/{job.prefix} stays as it is: it is no symbolic link; remove it"
        raise NotPromotedError(what, Code.PROMOTION_NO_LINK)
    return look(root, job.prefix, standing).place in {Place.FOLLOWS, Place.USELESS}


def _candidate(job: Job, root: Root, plan: JobPlan) -> Merged:
    directory = job.directory(root.path)
    merged = whole(directory.merged, job.prefix)
    if merged is None:
        raise NotPromotedError(
            f"{directory.merged} is no whole output of prefix {job.prefix}: `glmd verify {directory.merged}` says what "
            "is missing",
            Code.PROMOTION_NOT_WHOLE,
        )
    if merged.origin is not None:
        return merged
    return replace(merged, origin=origin_of(plan, directory, job.attempt))  # it is of a glmd that did not keep it


def _published(job: Job, root: Root) -> Merged | None:
    there = leads_to(root.latest / job.prefix)
    return None if there is None else whole(there, job.prefix)


def _merged_of(promotion: Promotion, root: Root) -> Merged | None:
    directory = promotion.directory(root.path)
    return None if directory is None else whole(real(directory), promotion.prefix)


def _why_not_passed(job: Job, root: Root) -> str:
    """Return why the gate does not let the output of `job` pass; empty where it does, or an older glmd had none."""
    path = job.directory(root.path).verdict
    try:
        verdict = Verdict.read(path)
    except FileNotFoundError:
        return "" if job.state is State.DONE else f"job {job.id} is {job.state}, and was not judged"
    except ValidationError:
        return f"{path} cannot be read"
    return "" if verdict.passed else f"job {job.id} did not pass: {verdict.reason}"
