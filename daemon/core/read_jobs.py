"""The store's jobs for anyone who only reads them: their rows, histories and the devices that they hold."""

import contextlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Self

from daemon.core.happened import moment
from daemon.core.job_rows import COLUMNS, NO_JOB, Row, job_of, unreadable_lines, why_none
from daemon.core.reading import open_for_reading, unreadable
from daemon.core.states import ACTIVE, OVER, Job, State
from daemon.core.users import User
from daemon.core.wanted_jobs import FoundJobs, WantedJobs

_QUEUE = "priority DESC, id"
"""Who is next, as the index jobs_in_order has it."""


@dataclass(frozen=True)
class Transition:
    """One line of a job's history."""

    at: datetime
    state: State
    attempt: int
    reason: str
    code: str = ""
    """What programs tell `reason` by; empty where nothing says it."""


@dataclass(frozen=True)
class Page:
    """Some of all jobs."""

    jobs: tuple[Job, ...]
    last: int | None
    """Behind which number the next page begins; None where there is none."""


class JobReads:
    """The jobs of a store that is opened to be read: see daemon.core.read_store."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self.unreadable: dict[int, str] = {}
        """The rows that say nothing a job could have, by number, with why; they are left alone, with their devices."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open `path` without being able to change it. Raises StoreError when it is not there.

        What SQLite says against a read in the store's `with` block comes out of that as a StoreError, too.
        """
        return cls(open_for_reading(path), path)

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):
            raise unreadable(self.path, error) from error

    def unreadable_lines(self, most: int) -> list[str]:
        """Return what there is to say of the rows that say nothing, as far as rows were read; of at most so many."""
        return unreadable_lines(self.unreadable, most)

    def look_for_unreadable(self) -> None:
        """Find the rows that no state tells from others, and so nobody would come across."""
        known = tuple(State)
        marks = ",".join("?" * len(known))
        self._select(f"id IN (SELECT id FROM jobs WHERE state NOT IN ({marks}))", *known)  # noqa: S608 - all ours

    def numbers(self) -> frozenset[int]:
        """Return the numbers of all rows, also of those that say nothing."""
        return frozenset(number for (number,) in self._connection.execute("SELECT id FROM jobs"))

    def job(self, job: int) -> Job:
        """Return one job; raises KeyError."""
        return self._one("id = ?", job)

    def readable(self, job: int) -> Job | None:
        """Return one job; None where its row is gone or says nothing, and so is left alone."""
        return next(iter(self._select("id = ?", job)), None)

    def readable_among(self, jobs: Collection[int]) -> dict[int, Job]:
        """Return these jobs by number; without those whose rows are gone or say nothing."""
        found = self._select("id IN (SELECT value FROM json_each(?))", json.dumps(list(jobs)))
        return {job.id: job for job in found}

    def claim_of(self, job: Job) -> str:
        """Return what `job` was made from."""
        (claim,) = self._connection.execute("SELECT claim FROM jobs WHERE id = ?", (job.id,)).fetchone()
        return str(claim)

    def claimed(self, claim: str) -> Job | None:
        """Return the job that was made from `claim`, if one was."""
        return next(iter(self._select("claim = ?", claim)), None)

    def jobs(self, states: Iterable[State] | None = None) -> tuple[Job, ...]:
        """Return the jobs in `states`, oldest first; by default all, and so what is `unreadable`, too."""
        if states is None:
            return self._select("TRUE")
        wanted = tuple(states)
        return self._select(f"state IN ({','.join('?' * len(wanted))})", *wanted)

    def page(self, after: int, size: int) -> Page:
        """Return the jobs of the next `size` rows behind number `after`, oldest first."""
        rows = list(self._cursor("id > ?", after, size, order="id LIMIT ?"))
        return Page(self._readable(rows), rows[-1][0] if len(rows) == size else None)

    def wanted(
        self, wanted: WantedJobs, size: int, *, before: int | None = None, after: int | None = None
    ) -> FoundJobs:
        """Return the newest jobs that are wanted, at most `size`: of all, or of the rows before or behind a number."""
        if after is not None:
            rows = self._wanted(wanted, "id > ?", after, "id", size + 1)[::-1]
            if len(rows) <= size:  # it reaches the newest: that page is whole
                return self.wanted(wanted, size)
            rows = rows[1:]
        else:
            below = (1 << 62) if before is None else before
            rows = self._wanted(wanted, "id < ?", below, "id DESC", size)
        newest, oldest = (rows[0][0], rows[-1][0]) if rows else ((before or 1) - 1, 0)
        is_newest = before is None and after is None
        newer = not is_newest and self._wanted(wanted, "id > ?", newest, "id", 1)
        older = rows and self._wanted(wanted, "id < ?", oldest, "id DESC", 1)
        return FoundJobs(self._readable(rows), newest if newer else None, oldest if older else None)

    def _wanted(self, wanted: WantedJobs, side: str, number: int, order: str, size: int) -> list[Row]:
        condition, values = wanted.condition()
        return list(self._cursor(f"{side} AND {condition}", number, *values, size, order=f"{order} LIMIT ?"))

    def on_devices(self, since: datetime, until: datetime, most: int) -> tuple[Job, ...]:
        """Return the newest `most` jobs that may have had their devices at some time between. It looks at every row."""
        marks = ",".join("?" * len(ACTIVE))
        where = f"devices != '[]' AND submitted < ? AND (changed >= ? OR state IN ({marks}))"
        times = (moment.astimezone(UTC).isoformat() for moment in (until, since))
        return self._readable(self._cursor(where, *times, *ACTIVE, most, order="id DESC LIMIT ?"))

    def newest_over(self, limit: int) -> tuple[Job, ...]:
        """Return the newest jobs that are over, oldest first."""
        found: list[Job] = []
        for state in OVER:
            rows = self._cursor("state = ?", state, order="id DESC")
            found += islice(self._readable_jobs(rows), limit)
        return tuple(sorted(found, key=lambda job: job.id)[-limit:])

    def last_over(self, limit: int) -> tuple[Job, ...]:
        """Return the jobs that came to be over last, the last one first. It looks at every row."""
        marks = ",".join("?" * len(OVER))
        order = "changed DESC LIMIT ?"
        return self._readable(self._cursor(f"state IN ({marks})", *OVER, limit, order=order))

    def count(self, states: Collection[State]) -> int:
        """Return how many jobs are in `states`."""
        marks = ",".join("?" * len(states))
        counted = f"SELECT COUNT(*) FROM jobs WHERE state IN ({marks})"  # noqa: S608 - all ours
        (count,) = self._connection.execute(counted, tuple(states)).fetchone()
        return int(count)

    def highest(self) -> int:
        """Return the highest number that a job has; 0 where there is none."""
        (number,) = self._connection.execute("SELECT MAX(id) FROM jobs").fetchone()
        return number or 0

    def queue(self, limit: int | None = None) -> tuple[Job, ...]:
        """Return the waiting jobs, the next one first: by priority, then by arrival; the first `limit` of them."""
        return tuple(islice(self._readable_jobs(self._cursor("state = ?", State.QUEUED, order=_QUEUE)), limit))

    def queue_order(self) -> tuple[int, ...]:
        """Return the numbers of all waiting jobs, the next one first."""
        query = f"SELECT id FROM jobs WHERE state = ? ORDER BY {_QUEUE}"  # noqa: S608 - all ours
        return tuple(number for (number,) in self._connection.execute(query, (State.QUEUED,)))

    def next_in_queue(self) -> tuple[Job, ...]:
        """Return the waiting jobs of which one may start now, the next one first.

        Those are all that need no devices, and the first of each set of devices: whatever waits behind it for the same
        ones must go on waiting. Ten thousand jobs in the queue are so told from each other by SQLite.
        """
        ordered = "SELECT *, ROW_NUMBER() OVER (PARTITION BY devices ORDER BY priority DESC, id) AS place FROM jobs"
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM ({ordered} WHERE state = ?) WHERE place = 1 OR devices = '[]'"  # noqa: S608 - all ours
            " ORDER BY priority DESC, id",
            (State.QUEUED,),
        )
        return self._readable(rows)

    def queue_length(self) -> int:
        """Return how many jobs wait."""
        return self.count([State.QUEUED])

    def unfinished_with(self, digest: str) -> Job | None:
        """Return a job that was made of the same bytes and is not over."""
        over = tuple(OVER)
        return next(
            iter(self._select(f"digest = ? AND state NOT IN ({','.join('?' * len(over))})", digest, *over)), None
        )

    def queued_with(self, claims: str) -> tuple[Job, ...]:
        """Return the waiting jobs whose claims begin with `claims`."""
        return self._select("state = ? AND substr(claim, 1, ?) = ?", State.QUEUED, len(claims), claims)

    def newest_with(self, digest: str) -> Job | None:
        """Return the newest job that was made of bytes with this digest."""
        return next(self._readable_jobs(self._cursor("digest = ?", digest, order="id DESC")), None)

    def newest_named(self, name: str) -> Job | None:
        """Return the newest job of this name."""
        return next(self._readable_jobs(self._cursor("name = ?", name, order="id DESC")), None)

    def same_before(self, job: Job) -> Job | None:
        """Return the newest job before `job` of its cycle; of one that is of none, the newest of its name."""
        where, what = ("cycle = ?", job.cycle) if job.cycle else ("name = ?", job.name)
        rows = self._cursor(f"{where} AND id < ?", what, job.id, order="id DESC LIMIT 1")
        return next(self._readable_jobs(rows), None)

    def newest_by_name(self, names: Collection[str]) -> tuple[Job, ...]:
        """Return the newest job of each of these names, oldest first; none of a name whose newest row says nothing."""
        newest = "SELECT MAX(id) FROM jobs WHERE name IN (SELECT value FROM json_each(?)) GROUP BY name"
        return self._select(f"id IN ({newest})", json.dumps(list(names)))

    def undone_since(self, since: datetime) -> tuple[Job, ...]:
        """Return the jobs that failed or were rejected since then (in UTC), oldest first.

        Those are left out that have a later job of their cycle; of no cycle, of their name.
        """
        same = "later.id > jobs.id AND later.cycle = jobs.cycle AND (jobs.cycle != '' OR later.name = jobs.name)"
        return self._select(
            f"state IN (?, ?) AND changed >= ? AND NOT EXISTS (SELECT 1 FROM jobs AS later WHERE {same})",  # noqa: S608 - all ours
            *(State.FAILED, State.REJECTED, since.isoformat()),
        )

    def named_since(self, name: str, since: datetime) -> tuple[Job, ...]:
        """Return the jobs of this name that were submitted since then (in UTC), oldest first."""
        return self._select("name = ? AND submitted >= ?", name, since.isoformat())

    def history(self, job: int) -> tuple[Transition, ...]:
        """Return a job's transitions, oldest first; without those that say nothing."""
        return self._transitions("job = ?", job).get(job, ())

    def histories(self, jobs: Collection[int]) -> dict[int, tuple[Transition, ...]]:
        """Return the transitions of these jobs by number, oldest first; without those that say nothing."""
        return self._transitions("job IN (SELECT value FROM json_each(?))", json.dumps(list(jobs)))

    def _transitions(self, where: str, value: object) -> dict[int, tuple[Transition, ...]]:
        rows = self._connection.execute(
            f"SELECT job, at, state, attempt, reason, code FROM transitions WHERE {where} ORDER BY id",  # noqa: S608 - all ours
            (value,),
        )
        found: defaultdict[int, list[Transition]] = defaultdict(list)
        for job, at, state, attempt, reason, code in rows:
            with contextlib.suppress(ValueError):  # `glmd doctor --state` tells
                found[job].append(Transition(moment(at), State(state), attempt, reason, code))
        return {job: tuple(steps) for job, steps in found.items()}

    def cancelled_by(self, job: Job) -> str:
        """Return who asked last to end `job`; empty where nobody knows."""
        row = self._connection.execute("SELECT cancelled FROM users WHERE job = ?", (job.id,)).fetchone()
        return row[0] or "" if row else ""

    def owner_of(self, job: Job) -> User | None:
        """Return who dropped `job`; None where nobody did, or an older glmd took it."""
        row = self._connection.execute("SELECT dropped FROM users WHERE job = ?", (job.id,)).fetchone()
        return User(row[0]) if row and row[0] is not None else None

    def locks(self) -> dict[int, int]:
        """Return which job holds each device that is held."""
        return dict(self._connection.execute("SELECT device, job FROM device_locks ORDER BY device"))

    def _one(self, where: str, value: object) -> Job:
        found = self._select(where, value)
        if not found:
            raise KeyError(value)
        return found[0]

    def _select(self, where: str, *values: object) -> tuple[Job, ...]:
        return self._readable(self._cursor(where, *values))

    def _cursor(self, where: str, *values: object, order: str = "id") -> Iterable[Row]:
        return self._connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY {order}", values)  # noqa: S608 - all ours

    def _readable(self, rows: Iterable[Row]) -> tuple[Job, ...]:
        return tuple(self._readable_jobs(rows))

    def _readable_jobs(self, rows: Iterable[Row]) -> Iterator[Job]:
        for row in rows:
            try:
                job = job_of(row)
            except NO_JOB as error:
                self.unreadable[row[0]] = why_none(error)
            else:
                self.unreadable.pop(row[0], None)  # somebody has fixed it
                yield job
