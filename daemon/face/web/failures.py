"""How an attempt failed, as the pages of a job and of its failure say it: which rank was first, why, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import ValidationError

from daemon.core.read_jobs import Transition
from daemon.core.states import Job, State
from daemon.face.failure import Diagnosed, diagnosis_of, failed_step
from daemon.face.needs import Kind, commands_for
from daemon.face.troubleshooting import Entry, read_entries
from daemon.face.web.asking import Asked
from handlers.codes import Code
from handlers.rank_log.advice import filled_in, parted
from handlers.records.record import no_record
from handlers.records.step_exit import ProcessExit

OF_FAILURES = frozenset({State.FAILED, State.REJECTED, State.CANCELLED})
"""States of jobs whose last attempt is told of."""


@dataclass(frozen=True)
class Failure:
    """What there is to say."""

    attempt: int
    earlier: int | None
    """The attempt, where it is not the last one: for addresses."""
    first: ProcessExit | None
    """The process whose failure ended the attempt; None where no record names one."""
    diagnosed: Diagnosed | None
    """None where the error is not known."""
    title: str
    """Of its code, in some words."""
    happened: str
    """What glmd says of it; empty where that is what `first` says."""
    cause: str
    remedy: str
    left: str
    """Why glmd did not try again by itself; empty where it did, or does not say."""
    code: str
    entry: Entry | None
    """What `glmd explain` says of its code, in the reader's language; None where a remedy is known."""
    others: Sequence[ProcessExit]
    """The other processes, as they ended."""
    commands: tuple[str, ...]


def failures_of(job: Job, history: Sequence[Transition]) -> dict[int, tuple[str, str]]:
    """Return why the attempts of a job ended that failed: the reason and its code, by attempt."""
    found = {}
    for before, step in pairwise(history):
        if step.attempt > before.attempt:  # where glmd went on by itself, it says there after what
            failing = before if before.state in OF_FAILURES else step
            found[before.attempt] = (failing.reason, failing.code)
    return found | ({job.attempt: (job.reason, job.code)} if job.state in OF_FAILURES else {})


def failure_of(job: Job, attempt: int, reason: str, code: str, asked: Asked) -> Failure:
    """Return how an attempt failed. Raises OSError."""
    directory = job.directory(asked.site.root.path)
    try:
        ended = failed_step(directory, attempt)
    except ValidationError as error:
        raise no_record(directory.path, error) from error
    diagnosed = None if ended is None else diagnosis_of(ended)
    first = None if ended is None else ended.first
    cause, remedy = _advice(job, code, diagnosed, asked)
    is_last = attempt == job.attempt
    if ended is not None and not is_last:
        reason = ended.reason  # without how glmd went on
    parts = parted(reason)
    is_of_first = first is not None and parts.happened.startswith(f"rank {first.rank} ")
    return Failure(
        attempt=attempt,
        earlier=None if is_last else attempt,
        first=first,
        diagnosed=diagnosed,
        title=asked.words.title(code),
        happened="" if is_of_first else parts.happened,
        cause=cause,
        remedy=remedy,
        left=parts.left,
        code=code,
        entry=None if remedy else _entry(code, asked),
        others=[process for process in ([] if ended is None else ended.processes) if process != first],
        commands=commands_for(Kind.FAILED, job.id, "") if is_last and job.state is State.FAILED else (),
    )


def _advice(job: Job, code: str, diagnosed: Diagnosed | None, asked: Asked) -> tuple[str, str]:
    """Return cause and remedy, in the reader's language where it has them."""
    known = diagnosed.code if diagnosed is not None and diagnosed.code else code
    rank, device = (None, None) if diagnosed is None else (diagnosed.rank, diagnosed.device)
    advice = asked.words.advice_of(known, job=job.id, rank=rank, device=device)
    if advice is not None:
        return advice.cause, advice.remedy
    return ("", "") if diagnosed is None else (diagnosed.cause, filled_in(diagnosed.remedy, job=job.id))


def _entry(code: str, asked: Asked) -> Entry | None:
    try:
        return read_entries(asked.words.language).get(Code(code))
    except ValueError:
        return None
