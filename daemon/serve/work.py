"""What is going on: the jobs at work, how far their trainings are, how many wait, and what has failed."""

import errno
import os
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from daemon.core.root import Root
from daemon.core.states import ACTIVE, Job, State
from daemon.core.store import Store
from daemon.serve.headline import headline, noticed, undone
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Lane, Workers
from handlers.rank_log.progress import Progress, read_progress

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PROGRESS_EVERY = 5.0
"""Seconds between two looks at the ranks' logs."""
LEAST_ROOM = 1 << 16
"""Bytes on the disk of jobs/, below which a step cannot even write down how it ended, and so waits unseen."""
ROOM = "the disk of jobs/"
UNDONE_FOR = timedelta(days=1)
"""How long a job that failed or was rejected is told of, unless a later one of its name or cycle came first."""
UNDONE_EVERY = 60.0
"""Seconds between two looks for them, where nothing is written to the store."""


class Work:
    """Looks at it now and then. For the loop's thread; workers read the ranks' logs."""

    def __init__(self, root: Root, store: Store, workers: Workers, faults: Faults) -> None:
        self._root = root
        self._store = store
        self._workers = workers
        self._faults = faults
        self._progress: dict[tuple[int, int], Progress] = {}
        """How far trainings are, by job and attempt."""
        self._is_training = False
        self._due = 0.0
        self._undone: tuple[Job, ...] = ()
        self._undone_of = -1
        """The store's `changes` that they are of."""
        self._undone_due = 0.0
        self.summary = ""
        """For people, in one line."""

    @property
    def next_due(self) -> float | None:
        """When, on the monotonic clock, to look again; None where nothing trains."""
        return self._due if self._is_training else None

    def look(self, now: float) -> None:
        """See what is at work; what the ranks say is there with a later look."""
        active = self._store.jobs(ACTIVE)
        training = {(job.id, job.attempt): job for job in active if job.state is State.TRAINING}
        self._is_training = bool(training)
        if not training:
            self._faults.passed(ROOM)
        elif now >= self._due:
            self._due = now + PROGRESS_EVERY
            self._workers.submit(Lane.PROGRESS, (ROOM,), partial(free_bytes, self._root.jobs), self._room_seen)
            for attempt, job in training.items():
                output, ranks = job.directory(self._root.path).output, job.ranks
                self._workers.submit(
                    Lane.PROGRESS,
                    ("progress", *attempt),
                    partial(read_progress, output, ranks),
                    partial(self._progressed, attempt),
                )
        self._progress = {attempt: seen for attempt, seen in self._progress.items() if attempt in training}
        seen_of = {job: seen for (job, _), seen in self._progress.items()}
        going = headline(active, self._store.queue_length(), seen_of)
        parts = (noticed(self._store.notices()), undone(self._look_for_undone(now)), going)
        self.summary = "; ".join(part for part in parts if part)

    def _look_for_undone(self, now: float) -> tuple[Job, ...]:
        if self._store.changes != self._undone_of or now >= self._undone_due:
            self._undone_of, self._undone_due = self._store.changes, now + UNDONE_EVERY
            self._undone = self._store.undone_since(datetime.now(UTC) - UNDONE_FOR)
        return self._undone

    def _room_seen(self, room: Future[int]) -> None:
        try:
            free = room.result()
        except OSError:  # jobs/ is away or does not answer, of which those tell that need it
            return
        if free >= LEAST_ROOM:
            self._faults.passed(ROOM)
        elif not self._faults.is_paused(ROOM):
            text = f"{os.strerror(errno.ENOSPC)}: {free} bytes; what trains cannot go on, nor end, until there is some"
            self._faults.failed(ROOM, OSError(errno.ENOSPC, text, str(self._root.jobs)))

    def _progressed(self, attempt: tuple[int, int], progress: Future[Progress | None]) -> None:
        try:
            seen = progress.result()
        except Exception as error:  # noqa: BLE001 - of what ranks have logged; it is for show alone
            log.warning("progress_unreadable", job=attempt[0], reason=f"{type(error).__name__}: {error}")
            return
        if seen is not None:
            self._progress[attempt] = seen


def free_bytes(directory: Path) -> int:
    """Return how many bytes others than root may write there. Raises OSError."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
