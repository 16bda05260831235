"""A failure: which rank was first, its line, the cause, what to do, and why it was not resumed. Made to be shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from pydantic import ValidationError

from daemon.core.states import Job, State
from daemon.face.failure import Diagnosed, failed_step, told_of
from daemon.face.needs import Kind, commands_for
from daemon.face.troubleshooting import Entry, read_entries
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.job_rows import why
from handlers.codes import Code
from handlers.records.record import no_record
from handlers.records.step_exit import ProcessExit, StepExit


@dataclass(frozen=True)
class AttemptEnd:
    """How one attempt ended, in a line."""

    attempt: int
    at: datetime
    reason: str
    code: str


@dataclass(frozen=True)
class Failure:
    """What the page shows."""

    job: Job
    why: str
    title: str
    """Of its code, in some words."""
    ended: StepExit | None
    """None where no step has a record: it failed before one began."""
    diagnosed: Diagnosed | None
    cause: str
    remedy: str
    entry: Entry | None
    """What `glmd explain` says of its code."""
    others: Sequence[ProcessExit]
    """The other processes, as they ended."""
    attempts: Sequence[AttemptEnd]
    commands: tuple[str, ...]


def failure(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    content = read_failure(asked)
    job = content.job
    return Page("failure.html", f"{job.id} {job.name}: {asked.words.say('states', job.state)}", content, tab="jobs")


def read_failure(asked: Asked) -> Failure:
    """Return why a job failed. Raises NotThereError, StoreError, OSError."""
    with open_store(asked) as store:
        job = job_of(store, asked)
        history = store.history(job.id)
    if job.state not in {State.FAILED, State.REJECTED, State.CANCELLED}:
        raise NotThereError(asked.say("not_failed", job=job.label))
    directory = job.directory(asked.site.root.path)
    try:
        ended = failed_step(directory, job.attempt)
    except ValidationError as error:
        raise no_record(directory.path, error) from error
    diagnosed = None if ended is None else told_of(ended)
    cause, remedy = _advice(job, diagnosed, asked)
    first = None if ended is None else ended.first
    return Failure(
        job=job,
        why=why(job, asked),
        title=asked.words.title(job.code),
        ended=ended,
        diagnosed=diagnosed,
        cause=cause,
        remedy=remedy,
        entry=_entry(job.code),
        others=[process for process in ([] if ended is None else ended.processes) if process != first],
        attempts=[
            AttemptEnd(step.attempt - 1, step.at, step.reason, step.code)
            for before, step in pairwise(history)
            if step.attempt > before.attempt
        ],
        commands=commands_for(Kind.FAILED, job.id, job.code) if job.state is State.FAILED else (),
    )


def _advice(job: Job, diagnosed: Diagnosed | None, asked: Asked) -> tuple[str, str]:
    """Return cause and remedy, in the reader's language where it has them."""
    code = diagnosed.code if diagnosed is not None and diagnosed.code else job.code
    rank, device = (None, None) if diagnosed is None else (diagnosed.rank, diagnosed.device)
    advice = asked.words.advice_of(code, job=job.id, rank=rank, device=device)
    if advice is not None:
        return advice.cause, advice.remedy
    return ("", "") if diagnosed is None else (diagnosed.cause, diagnosed.remedy)


def _entry(code: str) -> Entry | None:
    try:
        return read_entries().get(Code(code))
    except ValueError:
        return None
