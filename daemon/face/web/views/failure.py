"""A failure: which rank was first, its line, the cause, what to do, and why it was not resumed. Made to be shared."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.core.states import Job
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.failures import Failure, failure_of, failures_of
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.job_rows import SIGNS
from handlers.rank_log.advice import parted


@dataclass(frozen=True)
class FailurePage:
    """What the page shows."""

    job: Job
    sign: str
    failure: Failure
    has_curve: bool
    went_on: bool
    """Whether a later attempt has begun."""
    others: Sequence[tuple[int, str]]
    """The other attempts that failed, each with what happened."""


def failure(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    content = read_failure(asked)
    job = content.job
    return Page("failure.html", f"{job.id} {job.name}: {asked.say('why_failed')}", content, tab="jobs")


def read_failure(asked: Asked) -> FailurePage:
    """Return how a job's last attempt failed that did, or the one that the address names.

    Raises NotThereError, StoreError, OSError.
    """
    with open_store(asked) as store:
        job = job_of(store, asked)
        history = store.history(job.id)
    found = failures_of(job, history)
    attempt = asked.number("attempt", 1, job.attempt, max(found, default=0))
    if attempt not in found:
        raise NotThereError(asked.say("not_failed", job=job.label))
    return FailurePage(
        job=job,
        sign=SIGNS[job.state],
        failure=failure_of(job, attempt, *found[attempt], asked),
        has_curve=bool(asked.site.curves.of(job.directory(asked.site.root.path), 2).number),
        went_on=attempt < job.attempt,
        others=[(number, parted(reason).happened) for number, (reason, _) in found.items() if number != attempt],
    )
