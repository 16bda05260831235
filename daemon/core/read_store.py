"""The store for whoever only reads it: jobs, their histories, the devices that they hold, and the last nights."""

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Self

from daemon.core import night_runs, promotions, results
from daemon.core.job_rows import COLUMNS, NO_JOB, Row, job_of, told_of_unreadable, why_none
from daemon.core.night_runs import Counted, NightRun
from daemon.core.promotions import Promotion, Standing
from daemon.core.reading import open_for_reading, unreadable
from daemon.core.results import Result
from daemon.core.states import OVER, Job, State
from daemon.core.users import User

_FIRST, _LAST = 1971, 9000
"""Years; with a zone's offset and some weeks more, time is told of them as well."""
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


class ReadStore:
    """The store, opened to be read: it has no way to change it. The daemon alone has daemon.core.store.Store."""

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

    def told_of_unreadable(self, most: int) -> list[str]:
        """Return what there is to say of the rows that say nothing, as far as rows were read; of at most so many."""
        return told_of_unreadable(self.unreadable, most)

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

    def newest_over(self, limit: int) -> tuple[Job, ...]:
        """Return the newest jobs that are over, oldest first."""
        found: list[Job] = []
        for state in OVER:
            rows = self._cursor("state = ?", state, order="id DESC")
            found += islice(self._each_readable(rows), limit)
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
        return tuple(islice(self._each_readable(self._cursor("state = ?", State.QUEUED, order=_QUEUE)), limit))

    def queue_order(self) -> tuple[int, ...]:
        """Return the numbers of all waiting jobs, the next one first."""
        told = f"SELECT id FROM jobs WHERE state = ? ORDER BY {_QUEUE}"  # noqa: S608 - all ours
        return tuple(number for (number,) in self._connection.execute(told, (State.QUEUED,)))

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
        return next(self._each_readable(self._cursor("digest = ?", digest, order="id DESC")), None)

    def newest_named(self, name: str) -> Job | None:
        """Return the newest job of this name."""
        return next(self._each_readable(self._cursor("name = ?", name, order="id DESC")), None)

    def named_since(self, name: str, since: datetime) -> tuple[Job, ...]:
        """Return the jobs of this name that were submitted since then (in UTC), oldest first."""
        return self._select("name = ? AND submitted >= ?", name, since.isoformat())

    def history(self, job: int) -> tuple[Transition, ...]:
        """Return a job's transitions, oldest first; without those that say nothing."""
        rows = self._connection.execute(
            "SELECT at, state, attempt, reason, code FROM transitions WHERE job = ? ORDER BY rowid", (job,)
        )
        found = []
        for at, state, attempt, reason, code in rows:
            with contextlib.suppress(ValueError):  # `glmd doctor --state` tells
                found.append(Transition(datetime.fromisoformat(at), State(state), attempt, reason, code))
        return tuple(found)

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

    def results(self, jobs: Collection[int]) -> dict[int, Result]:
        """Return what these jobs came to, by number: those of which it is known."""
        return results.of_jobs(self._connection, jobs)

    def last_due(self, cycle: str) -> datetime | None:
        """Return the time for which nightly `cycle` was last dropped. Raises ValueError where the row has none."""
        row = self._connection.execute("SELECT due FROM nightly WHERE name = ?", (cycle,)).fetchone()
        if row is None:
            return None
        due = datetime.fromisoformat(row[0])
        if due.tzinfo is None or not _FIRST <= due.year <= _LAST:
            raise ValueError(f"{row[0]:.100} is no time that a cycle was dropped for")
        return due

    def cron_of(self, cycle: str) -> str:
        """Return the cron expression by which nightly `cycle` was last counted; empty where it was not remembered."""
        row = self._connection.execute("SELECT cron FROM nightly WHERE name = ?", (cycle,)).fetchone()
        return str(row[0]) if row else ""

    def newest_done(self, cycle: str) -> Job | None:
        """Return the newest run of nightly `cycle` that came to its end as it should."""
        where = "cycle = ? AND state = ?"
        return next(iter(self._readable(self._cursor(where, cycle, State.DONE, order="id DESC LIMIT 1"))), None)

    def night(self, cycle: str, due: datetime) -> NightRun | None:
        """Return what became of a time at which nightly `cycle` was due; None where nothing is known of it."""
        return night_runs.of_cycle(self._connection, cycle, due)

    def promotions(self, prefix: str | None = None) -> tuple[Promotion, ...]:
        """Return what `latest/PREFIX` has led to, of one prefix or of all, oldest first."""
        return promotions.history(self._connection, prefix)

    def promoted_prefixes(self) -> frozenset[str]:
        """Return the prefixes of which `latest/PREFIX` has ever led somewhere."""
        return promotions.prefixes(self._connection)

    def standing(self, prefix: str) -> Standing:
        """Return where `latest/PREFIX` is to lead, and where it was before."""
        return promotions.standing(self._connection, prefix)

    def is_promoted(self, job: Job) -> bool:
        """Say whether the output of `job` was ever promoted."""
        return promotions.is_promoted(self._connection, job)

    def promoted(self, prefix: str) -> tuple[Promotion, ...]:
        """Return what was promoted of `prefix` and not taken back, the newest first."""
        return promotions.not_undone(self._connection, prefix)

    def rivals(self, prefix: str) -> tuple[Promotion, ...]:
        """Return those of what was ever promoted of `prefix` of which one is the newest training."""
        return promotions.rivals(self._connection, prefix)

    def bases_of(self, cycle: str, root: Path) -> dict[str, Path]:
        """Return where that lies which nightly `cycle` has promoted last and nobody took back, by prefix."""
        return {one.prefix: root / one.target for one in promotions.of_cycle(self._connection, cycle)}

    def bases(self) -> tuple[Promotion, ...]:
        """Return what the cycles of now have promoted last and nobody took back: of each prefix one of a cycle."""
        cycles = {name for (name,) in self._connection.execute("SELECT name FROM nightly")}
        return tuple(one for one in promotions.of_cycles(self._connection) if one.cycle in cycles)

    def continuing(self, jobs: Collection[int]) -> tuple[Job, ...]:
        """Return the jobs that are not over and go on from the outputs of one of `jobs`."""
        found = self.jobs(set(State) - OVER)
        return tuple(job for job in found if job.continues in jobs and job.continues is not None)

    def pinned(self) -> frozenset[int]:
        """Return the jobs from whose outputs jobs that are not over go on."""
        found = self.jobs(set(State) - OVER)
        return frozenset(job.continues for job in found if job.continues is not None)

    def night_runs(self, due: datetime) -> tuple[NightRun, ...]:
        """Return what became of all times from `due` on at which a cycle was due, in their order."""
        return tuple(night_runs.since(self._connection, due))

    def jobs_of_nights(self, since: datetime) -> tuple[Job, ...]:
        """Return the jobs that are runs of cycles and were submitted since then, oldest first."""
        return self._select("cycle != '' AND submitted >= ?", since.astimezone(UTC).isoformat())

    def other_jobs(self, since: datetime, until: datetime) -> tuple[Job, ...]:
        """Return the jobs that are no runs of cycles and were waiting or at work at some time between, oldest first."""
        over = tuple(OVER)
        return self._select(
            f"cycle = '' AND submitted < ? AND (changed >= ? OR state NOT IN ({','.join('?' * len(over))}))",
            *(until.astimezone(UTC).isoformat(), since.astimezone(UTC).isoformat(), *over),
        )

    def cycles(self) -> list[str]:
        """Return the names of all cycles of which anything is known."""
        return night_runs.cycles(self._connection)

    def counted(self) -> tuple[Counted, ...]:
        """Return how the cycles are counted that are in the daemon's settings."""
        return tuple(night_runs.counted(self._connection))

    def streak(self, cycle: str, spoilt: datetime | None) -> int:
        """Return how many runs of a cycle were done one after the other; see daemon.core.night_runs."""
        return night_runs.streak(self._connection, cycle, spoilt)

    def run_before(self, job: Job) -> tuple[Job, Result] | None:
        """Return the newest run before `job` of its cycle whose final loss is known, and what it came to."""
        where = "cycle = ? AND id < ? AND id IN (SELECT job FROM results WHERE final_loss IS NOT NULL)"
        for before in self._each_readable(self._cursor(where, job.cycle, job.id, order="id DESC LIMIT 1")):
            return before, self.results([before.id])[before.id]
        return None

    def promoted_among(self, jobs: Collection[Job]) -> dict[int, bool]:
        """Return of jobs that are done whether `latest` was led to them, and that was not taken back.

        Left out are those of which nobody knows, and those that were not meant to: nothing was said against them.
        """
        done = [job for job in jobs if job.state is State.DONE]
        marks = ",".join("?" * len(done))
        asked = f"SELECT job, MAX(undone IS NULL) FROM promotions WHERE job IN ({marks}) GROUP BY job"  # noqa: S608 - all ours
        told = {job: bool(stands) for job, stands in self._connection.execute(asked, [job.id for job in done])}
        return {job.id: False for job in done if job.code} | told

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
        return tuple(self._each_readable(rows))

    def _each_readable(self, rows: Iterable[Row]) -> Iterator[Job]:
        for row in rows:
            try:
                job = job_of(row)
            except NO_JOB as error:
                self.unreadable[row[0]] = why_none(error)
            else:
                self.unreadable.pop(row[0], None)  # somebody has mended it
                yield job
