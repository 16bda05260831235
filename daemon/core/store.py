"""The store as the daemon has it: every job's place in the queue and its state.

A transition that was answered is on disk, see daemon.core.database. Each transition is one transaction that also
records its reason and time, and takes or frees the job's devices.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from daemon.core import night_runs, prunings, results
from daemon.core.database import DamagedStoreError, StoreError, open_database, transaction
from daemon.core.job_rows import Row
from daemon.core.new_job import Forgotten, NewJob
from daemon.core.night_runs import BY_HAND, NightRun, Outcome
from daemon.core.promotions import says_no
from daemon.core.prunings import Pruning
from daemon.core.read_jobs import Transition
from daemon.core.results import Result
from daemon.core.states import HOLDING_DEVICES, MAY_HOLD_DEVICES, TRANSITIONS, Job, State
from daemon.core.store_files import StoreFiles, StoreReplacedError, save_beside, write_back
from daemon.core.write_history import HistoryWrites

__all__ = [
    "DamagedStoreError",
    "DeviceTakenError",
    "Forgotten",
    "NewJob",
    "Store",
    "StoreError",
    "Transition",
    "TransitionError",
]

BUSY_SECONDS = 2.0
"""How long the daemon waits for another process's lock at a time: its loop tries again, and has to answer meanwhile."""


class TransitionError(Exception):
    """A job was to go where the table of transitions has no way, or was no longer where it was thought to be."""


class DeviceTakenError(Exception):
    """A device that a job was to get is held by another."""


class Store(HistoryWrites):
    """The store, opened to be read and written: by the one daemon, and nobody else."""

    def __init__(self, connection: sqlite3.Connection, files: StoreFiles) -> None:
        super().__init__(connection, files.path)
        self._files = files
        self._wishes: dict[int, str] = {}
        """Jobs that are to be ended, where that could not be written yet, each with who asked."""
        self.overs = 0
        """How many jobs came to be over since it was opened."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open `path`, creating it when it is not there or empty. Raises StoreError, DamagedStoreError for damage."""
        return cls(open_database(path, busy_seconds=BUSY_SECONDS), StoreFiles(path))

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()  # the daemon has its own ways with what SQLite says

    def keep(self) -> tuple[Path, ...]:
        """Write what is in the store back to its path where a file of it was removed; return which were.

        Raises StoreReplacedError where another file is in its place, when what was in the store is saved beside it;
        and OSError or sqlite3.Error, when nothing has changed.
        """
        path = self.path
        try:
            removed = self._files.removed()
        except StoreReplacedError as error:
            saved = save_beside(self._connection, path)
            raise StoreReplacedError(
                f"{error}, put there while glmd runs. What glmd knew is saved as {saved}: glmd begins with the other "
                "file when it starts again; to go on with the saved one instead, stop glmd, move "
                f"{path.name}, {path.name}-wal and {path.name}-shm away, and this one to {path.name}"
            ) from error
        if removed:
            write_back(self._connection, path)
            before, self._connection = self._connection, open_database(path, busy_seconds=BUSY_SECONDS)
            self._files = StoreFiles(path)
            before.close()
        return removed

    def number_above(self, used: int) -> bool:
        """Let new jobs have numbers above `used`; return whether they would not have had them by themselves.

        They would not in a store that is new while job directories are there: no job may get another one's directory.
        """
        with transaction(self._connection):
            row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
            if used <= (row[0] if row else 0):
                return False
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
            self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (used,))
            self._connection.execute("UPDATE retention SET first = MAX(first, ?)", (used + 1,))
        return True

    # Jobs

    def add(self, new: NewJob, state: State = State.QUEUED, reason: str = "", code: str = "") -> Job:
        """Add a job, or return the one that was added for the same claim before."""
        first = Transition(_now(), state, 1, reason, code)
        with transaction(self._connection):
            if (there := self.claimed(new.claim)) is not None:
                return there
            number = self._insert(new, first, first)
            if new.owner is not None:
                self._connection.execute("INSERT INTO users (job, dropped) VALUES (?, ?)", (number, new.owner.number))
            self._record(number, first)
            if new.due is not None:
                dropped = NightRun(new.cycle, new.due, first.at, Outcome.DROPPED, number, BY_HAND)
                night_runs.taken_in(self._connection, dropped)
        return self._one("claim = ?", new.claim)

    def add_again(self, number: int, new: NewJob, reason: str) -> Job:
        """Add a job that had this number before; where its history is left, in the state with which that ends.

        Raises DeviceTakenError where it would hold a device there that is another job's by now.
        """
        queued = Transition(_now(), State.QUEUED, 1, reason)
        with transaction(self._connection):
            last = next(reversed(self.history(number)), queued)
            again = replace(last, at=queued.at, reason=reason, code="")
            self._insert(new, again, again, number)
            if not self.history(number):
                self._record(number, queued)
            self._connection.execute("DELETE FROM device_locks WHERE job = ?", (number,))
            job = self.job(number)
            if job.state in HOLDING_DEVICES:
                self._lock(job)
        return job

    def add_forgotten(self, jobs: Iterable[Forgotten]) -> None:
        """Add jobs with their numbers and histories, all or none."""
        with transaction(self._connection):
            for one in jobs:
                last = replace(one.history[-1], reason=one.reason, code=one.code)
                self._insert(one.new, one.history[0], last, one.number)
                for step in () if self.history(one.number) else one.history:
                    self._record(one.number, step)

    def _insert(self, new: NewJob, first: Transition, last: Transition, number: int | None = None) -> int:
        """Add the row of a job that has come from `first` to `last`; return its number, by default the next one."""
        (number,) = self._connection.execute(
            "INSERT INTO jobs (id, claim, source, digest, name, state, reason, code, attempt, priority, devices,"
            " prefix, submitted, changed, cycle, nodes, ranks)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (number, new.claim, new.source, new.digest, new.name, last.state, last.reason, last.code, last.attempt,
             new.priority, json.dumps(new.devices), new.prefix, first.at.isoformat(), last.at.isoformat(),
             new.cycle, new.nodes, new.ranks),
        ).fetchone()  # fmt: skip
        return int(number)

    def move(
        self,
        job: Job,
        state: State,
        reason: str = "",
        code: str = "",
        *,
        attempt: int | None = None,
        keep_devices: bool = False,
    ) -> Job:
        """Let `job` go to `state`, in one transaction with its devices' locks.

        A job that goes to its own state does so as a later attempt. `keep_devices` leaves its devices locked in a state
        that does not hold any: something of it is still on them; `free_devices` ends that. From which output it goes on
        is as `job` says.
        Raises TransitionError when the table has no such way or the job has moved meanwhile, and DeviceTakenError when
        it needs a device that another job holds; nothing is changed then.
        """
        if state not in TRANSITIONS[job.state]:
            raise TransitionError(f"job {job.id} cannot go from {job.state} to {state}")
        step = Transition(_now(), state, attempt or job.attempt, reason, code)
        if state is job.state and step.attempt <= job.attempt:
            raise TransitionError(f"job {job.id} is {state} already, as attempt {job.attempt}")
        with transaction(self._connection):
            moved = self._connection.execute(
                "UPDATE jobs SET state = ?, reason = ?, code = ?, attempt = ?, changed = ?, cancel = cancel AND ?,"
                " continues = ? WHERE id = ? AND state = ? AND attempt = ?",
                (state, reason, code, step.attempt, step.at.isoformat(), not state.is_over, job.continues, job.id,
                 job.state, job.attempt),
            )  # fmt: skip
            if moved.rowcount != 1:
                raise TransitionError(f"job {job.id} is no longer {job.state} as attempt {job.attempt}")
            self._record(job.id, step)
            if job.state.is_over:  # it is retried, and comes to something else
                results.forget(self._connection, job.id)
            if state not in HOLDING_DEVICES:
                if not keep_devices:
                    self._connection.execute("DELETE FROM device_locks WHERE job = ?", (job.id,))
            elif job.state not in HOLDING_DEVICES:
                self._lock(job)
            if state is State.DONE and not says_no(code):
                self._is_good(job, step.at)
        if state.is_over:
            self.overs += 1
            self._wishes.pop(job.id, None)
        return self.job(job.id)

    # What jobs came to

    @property
    def changes(self) -> int:
        """A number that is another one when anything was written since."""
        return self._connection.total_changes

    def unmeasured(self, besides: Collection[int]) -> int | None:
        """Return the newest job that is over and of which no result is kept, but for some; None where there is none."""
        return results.unmeasured(self._connection, besides)

    def keep_result(self, job: Job, result: Result) -> bool:
        """Keep what `job`, which is over, came to; return whether it is still where it was."""
        with transaction(self._connection):
            now = self.readable(job.id)
            if now is None or (now.state, now.attempt) != (job.state, job.attempt):
                return False
            results.keep(self._connection, job.id, result)
        return True

    # Small changes

    def explain(self, job: Job, reason: str, code: str = "") -> None:
        """Say why `job` is where it is, where that changes while its state does not."""
        self._connection.execute(
            "UPDATE jobs SET reason = ?, code = ? WHERE id = ? AND state = ? AND (reason, code) != (?, ?)",
            (reason, code, job.id, job.state, reason, code),
        )

    def take_devices(self, job: Job) -> None:
        """Let `job`, which is evaluated, have its devices as they are given here, all or none.

        Raises TransitionError where it has moved meanwhile, and DeviceTakenError where another job holds one.
        """
        with transaction(self._connection):
            now = self.readable(job.id)
            if now is None or (now.state, now.attempt) != (State.EVALUATING, job.attempt):
                raise TransitionError(f"job {job.id} is no longer {State.EVALUATING} as attempt {job.attempt}")
            self._connection.execute("DELETE FROM device_locks WHERE job = ?", (job.id,))
            self._lock(job)

    def free_devices(self, job: Job) -> None:
        """Free what `job` still holds in a state that holds no devices."""
        if job.state not in MAY_HOLD_DEVICES:
            self._connection.execute("DELETE FROM device_locks WHERE job = ?", (job.id,))

    def ask_to_cancel(self, job: Job, by: str = "") -> None:
        """Remember that `job` is to be ended, until it is over, and who asked for it."""
        with transaction(self._connection):
            self._connection.execute("UPDATE jobs SET cancel = 1 WHERE id = ?", (job.id,))
            self._connection.execute(
                "INSERT INTO users (job, cancelled) VALUES (?, ?)"
                " ON CONFLICT (job) DO UPDATE SET cancelled = excluded.cancelled",
                (job.id, by),
            )
        self._wishes.pop(job.id, None)

    def wish_to_cancel(self, job: Job, by: str) -> None:
        """Let `job` be one that is to be ended without writing that, which cannot be done now."""
        self._wishes[job.id] = by

    def unwritten_wishes(self) -> dict[int, str]:
        """Return the jobs that are to be ended, where that could not be written, each with who asked."""
        return dict(self._wishes)

    def cancelled_by(self, job: Job) -> str:
        """Return who asked last to end `job`, also where that is not written yet; empty where nobody knows."""
        return self._wishes[job.id] if job.id in self._wishes else super().cancelled_by(job)

    def _readable_jobs(self, rows: Iterable[Row]) -> Iterator[Job]:
        for job in super()._readable_jobs(rows):
            yield replace(job, cancel=True) if job.id in self._wishes else job

    def _lock(self, job: Job) -> None:
        try:
            self._connection.executemany(
                "INSERT INTO device_locks (device, job) VALUES (?, ?)", [(device, job.id) for device in job.devices]
            )
        except sqlite3.IntegrityError as error:
            raise DeviceTakenError(f"job {job.id} needs devices {job.devices}, and one of them is taken") from error

    # Prunings

    def begin_pruning(self, job: Job, pruning: Pruning) -> Pruning:
        """Note that a part of `job` is about to be removed. Raises TransitionError where it has moved meanwhile."""
        with transaction(self._connection):
            now = self.readable(job.id)
            if now is None or not now.state.is_over or (now.state, now.attempt) != (job.state, job.attempt):
                raise TransitionError(f"job {job.id} is no longer {job.state} as attempt {job.attempt}")
            return replace(pruning, id=prunings.begin(self._connection, pruning))

    def _record(self, job: int, step: Transition) -> None:
        self._connection.execute(
            "INSERT INTO transitions (job, at, state, attempt, reason, code) VALUES (?, ?, ?, ?, ?, ?)",
            (job, step.at.isoformat(), step.state, step.attempt, step.reason, step.code),
        )


def _now() -> datetime:
    return datetime.now(UTC)
