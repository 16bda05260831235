"""The store: every job's place in the queue and its state.

A transition that was answered is on disk, see daemon.core.database. Each transition is one transaction that also
records its reason and time, and takes or frees the job's devices.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from daemon.core.database import DamagedStoreError, StoreError, open_database, open_for_reading, transaction, unreadable
from daemon.core.states import HOLDING_DEVICES, TRANSITIONS, Job, State
from daemon.core.store_files import StoreFiles, StoreReplacedError, save_beside, write_back
from daemon.core.store_reading import StoreReading, Transition
from daemon.core.users import User

__all__ = ["DamagedStoreError", "DeviceTakenError", "NewJob", "Store", "StoreError", "Transition", "TransitionError"]

_FIRST, _LAST = 1971, 9000
"""Years; with a zone's offset and some weeks more, time is told of them as well."""

BUSY_SECONDS = 2.0
"""How long the daemon waits for another process's lock at a time: its loop tries again, and has to answer meanwhile."""


class TransitionError(Exception):
    """A job was to go where the table of transitions has no way, or was no longer where it was thought to be."""


class DeviceTakenError(Exception):
    """A device that a job was to get is held by another."""


@dataclass(frozen=True)
class NewJob:
    """What a job is made of."""

    claim: str
    name: str
    digest: str = ""
    priority: int = 0
    devices: tuple[int, ...] = ()
    prefix: str = ""
    owner: User | None = None
    """Whose the dropped file was; None where no file was dropped."""


@dataclass(frozen=True)
class Forgotten:
    """A job that the store does not know, and had or would have this number."""

    number: int
    new: NewJob
    history: tuple[Transition, ...]
    """It ends in a state that holds no devices."""
    reason: str


class Store(StoreReading):
    """The store, opened for reading and writing by the daemon, or only for reading by anybody else."""

    def __init__(
        self, connection: sqlite3.Connection, read_from: Path | None = None, files: StoreFiles | None = None
    ) -> None:
        super().__init__(connection)
        self._files = files
        self._read_from = read_from
        """Where a reader's is; the daemon has its own ways with what SQLite says."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open `path`, creating it when it is not there or empty. Raises StoreError, DamagedStoreError for damage."""
        return cls(open_database(path, busy_seconds=BUSY_SECONDS), files=StoreFiles(path))

    @classmethod
    def open_for_reading(cls, path: Path) -> Self:
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
        if self._read_from is not None and isinstance(error, sqlite3.Error):
            raise unreadable(self._read_from, error) from error

    def keep(self) -> tuple[Path, ...]:
        """Write what is in the store back to its path where a file of it was removed; return which were.

        Raises StoreReplacedError where another file is in its place, when what was in the store is saved beside it;
        and OSError or sqlite3.Error, when nothing has changed.
        """
        if self._files is None:
            return ()
        path = self._files.path
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
        return True

    # Jobs

    def add(self, new: NewJob, state: State = State.QUEUED, reason: str = "") -> Job:
        """Add a job, or return the one that was added for the same claim before."""
        at = _now()
        with transaction(self._connection):
            if (there := self.claimed(new.claim)) is not None:
                return there
            (number,) = self._connection.execute(
                "INSERT INTO jobs (claim, digest, name, state, reason, attempt, priority, devices, prefix, submitted,"
                " changed) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?) RETURNING id",
                (new.claim, new.digest, new.name, state, reason, new.priority, json.dumps(new.devices), new.prefix,
                 at, at),
            ).fetchone()  # fmt: skip
            if new.owner is not None:
                self._connection.execute("INSERT INTO users (job, dropped) VALUES (?, ?)", (number, new.owner.number))
            self._record(number, at, state, 1, reason)
        return self._one("claim = ?", new.claim)

    def add_again(self, number: int, new: NewJob, reason: str) -> Job:
        """Add a job that had this number before; where its history is left, in the state with which that ends.

        Raises DeviceTakenError where it would hold a device there that is another job's by now.
        """
        at = _now()
        with transaction(self._connection):
            last = next(reversed(self.history(number)), None) or Transition(
                datetime.fromisoformat(at), State.QUEUED, 1, reason
            )
            self._insert(Forgotten(number, new, (replace(last, at=datetime.fromisoformat(at)),), reason))
            if not self.history(number):
                self._record(number, at, last.state, last.attempt, reason)
            self._connection.execute("DELETE FROM device_locks WHERE job = ?", (number,))
            job = self.job(number)
            if job.state in HOLDING_DEVICES:
                self._lock(job)
        return job

    def add_forgotten(self, jobs: Iterable[Forgotten]) -> None:
        """Add jobs with their numbers and histories, all or none."""
        with transaction(self._connection):
            for one in jobs:
                self._insert(one)
                for step in () if self.history(one.number) else one.history:
                    self._record(one.number, step.at.isoformat(), step.state, step.attempt, step.reason)

    def _insert(self, one: Forgotten) -> None:
        """Add its row."""
        new, first, last = one.new, one.history[0], one.history[-1]
        self._connection.execute(
            "INSERT INTO jobs (id, claim, digest, name, state, reason, attempt, priority, devices, prefix, submitted,"
            " changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (one.number, new.claim, new.digest, new.name, last.state, one.reason, last.attempt, new.priority,
             json.dumps(new.devices), new.prefix, first.at.isoformat(), last.at.isoformat()),
        )  # fmt: skip

    def move(
        self, job: Job, state: State, reason: str = "", *, attempt: int | None = None, keep_devices: bool = False
    ) -> Job:
        """Let `job` go to `state`, in one transaction with its devices' locks.

        A job that goes to its own state does so as a later attempt. `keep_devices` leaves its devices locked in a state
        that does not hold any: something of it is still on them; `free_devices` ends that.
        Raises TransitionError when the table has no such way or the job has moved meanwhile, and DeviceTakenError when
        it needs a device that another job holds; nothing is changed then.
        """
        if state not in TRANSITIONS[job.state]:
            raise TransitionError(f"job {job.id} cannot go from {job.state} to {state}")
        at, number = _now(), attempt or job.attempt
        if state is job.state and number <= job.attempt:
            raise TransitionError(f"job {job.id} is {state} already, as attempt {job.attempt}")
        with transaction(self._connection):
            moved = self._connection.execute(
                "UPDATE jobs SET state = ?, reason = ?, attempt = ?, changed = ?, cancel = cancel AND ?"
                " WHERE id = ? AND state = ? AND attempt = ?",
                (state, reason, number, at, not state.is_over, job.id, job.state, job.attempt),
            )
            if moved.rowcount != 1:
                raise TransitionError(f"job {job.id} is no longer {job.state} as attempt {job.attempt}")
            self._record(job.id, at, state, number, reason)
            if state not in HOLDING_DEVICES:
                if not keep_devices:
                    self._connection.execute("DELETE FROM device_locks WHERE job = ?", (job.id,))
            elif job.state not in HOLDING_DEVICES:
                self._lock(job)
        if state.is_over:
            self._wishes.pop(job.id, None)
        return self.job(job.id)

    def explain(self, job: Job, reason: str) -> None:
        """Say why `job` is where it is, where that changes while its state does not."""
        self._connection.execute(
            "UPDATE jobs SET reason = ? WHERE id = ? AND state = ? AND reason != ?", (reason, job.id, job.state, reason)
        )

    def free_devices(self, job: Job) -> None:
        """Free what `job` still holds in a state that holds no devices."""
        if job.state not in HOLDING_DEVICES:
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

    def _lock(self, job: Job) -> None:
        try:
            self._connection.executemany(
                "INSERT INTO device_locks (device, job) VALUES (?, ?)", [(device, job.id) for device in job.devices]
            )
        except sqlite3.IntegrityError as error:
            raise DeviceTakenError(f"job {job.id} needs devices {job.devices}, of which one is taken") from error

    # Nightly cycles

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

    def set_last_due(self, cycle: str, due: datetime, cron: str = "") -> None:
        """Remember that nightly `cycle` was dropped for the time `due`, counted by the expression `cron`."""
        self._connection.execute(
            "INSERT OR REPLACE INTO nightly (name, due, cron) VALUES (?, ?, ?)", (cycle, due.isoformat(), cron)
        )

    def forget_cycles(self, keep: Collection[str]) -> None:
        """Forget all nightly cycles but those in `keep`."""
        kept = ",".join("?" * len(keep))
        self._connection.execute(f"DELETE FROM nightly WHERE name NOT IN ({kept})", tuple(keep))  # noqa: S608 - all ours

    def _record(self, job: int, at: str, state: State, attempt: int, reason: str) -> None:
        self._connection.execute(
            "INSERT INTO transitions (job, at, state, attempt, reason) VALUES (?, ?, ?, ?, ?)",
            (job, at, state, attempt, reason),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat()
