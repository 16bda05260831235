"""Which waiting jobs may start now: those of the queue, and those whose evaluations want devices."""

from collections.abc import Iterable, Iterator, Mapping

from daemon.core.states import Job


def in_order(waiting: Iterable[Job]) -> tuple[Job, ...]:
    """Return those that wait, next one first: by priority, then by arrival, whatever each waits to begin."""
    return tuple(sorted(waiting, key=lambda job: (-job.priority, job.id)))


def startable(queue: Iterable[Job], locks: Mapping[int, int]) -> Iterator[Job]:
    """Yield the jobs of `queue`, next one first, whose devices are all free.

    A job that must wait reserves its devices: later ones may only use what no earlier one waits for, so that a job for
    eight devices is not passed for ever by jobs for one.
    """
    spoken_for = set(locks)
    for job in queue:
        if spoken_for.isdisjoint(job.devices):
            yield job
        spoken_for.update(job.devices)
