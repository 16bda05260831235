"""What is known beside an event: of its job by the store, and of its failure by the record of the attempt.

This is for a child with a time limit: a record may lie on a file system that does not answer. What cannot be read is
left out, and the message is made anyway; so `compose` takes no facts at all, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daemon.core.event_kinds import EventKind
from daemon.core.read_store import ReadStore
from daemon.core.results import Result
from daemon.core.states import Job
from daemon.face.failure import Diagnosed, diagnosed
from daemon.face.notify.event import Event

_DONE = frozenset({EventKind.JOB_DONE, EventKind.JOB_NOT_PROMOTED})


@dataclass(frozen=True)
class Facts:
    """What is known beside one event."""

    job: Job | None = None
    """As it is by now."""
    result: Result | None = None
    compared_to: int | None = None
    """The run before of its cycle that has a final loss."""
    change: float | None = None
    """By how much the final loss is above that one's."""
    diagnosis: Diagnosed | None = None
    output: Path | None = None
    """The directory of what was merged."""
    unread: str = ""
    """Which record cannot be read, and why; one that was never written is none."""


NOTHING = Facts()


def facts_of(events: Sequence[Event], store: ReadStore, root: Path) -> dict[str, Facts]:
    """Return what is known beside each event that is about a job, by the event's key.

    The store is asked once for all, and the record of each failure is read. Raises sqlite3.Error.
    """
    numbers = {event.job for event in events if event.job is not None}
    jobs, results, before = store.readable_among(numbers), store.results(numbers), store.losses_before(numbers)
    return {
        event.key: _facts(event, job, results.get(job.id), before.get(job.id), root)
        for event in events
        if event.job is not None and (job := jobs.get(event.job)) is not None
    }


def _facts(event: Event, job: Job, result: Result | None, before: tuple[int, float] | None, root: Path) -> Facts:
    directory = job.directory(root)
    compared_to = change = None
    if before is not None and result is not None and result.final_loss is not None:
        compared_to, change = before[0], result.final_loss - before[1]
    diagnosis, output, unread = None, None, ""
    try:
        if event.kind is EventKind.JOB_FAILED and not event.is_over:
            diagnosis = diagnosed(directory, event.attempt or job.attempt)
        elif event.kind in _DONE and directory.merged.is_dir():
            output = directory.merged
    except (OSError, ValidationError) as error:
        unread = f"{directory.path}: {_first_line(error)}"
    return Facts(job, result, compared_to, change, diagnosis, output, unread)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
