"""The store: every job's place in the queue and its state, in one SQLite file.

WAL with synchronous=FULL: a transition that was answered is on disk. Each transition is one transaction that also
records its reason and time, and takes or frees the job's devices.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from daemon.states import HOLDING_DEVICES, OVER, TRANSITIONS, Job, State

VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    claim     TEXT NOT NULL UNIQUE,     -- what it was made from; a second insert finds the first
    digest    TEXT NOT NULL,            -- of the dropped bytes: recognises a file dropped twice
    name      TEXT NOT NULL,
    state     TEXT NOT NULL,
    reason    TEXT NOT NULL,
    attempt   INTEGER NOT NULL,
    priority  INTEGER NOT NULL,
    devices   TEXT NOT NULL,            -- JSON array
    prefix    TEXT NOT NULL,
    cancel    INTEGER NOT NULL DEFAULT 0,   -- somebody asked to end it
    submitted TEXT NOT NULL,
    changed   TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state);
CREATE TABLE transitions (
    job INTEGER NOT NULL REFERENCES jobs (id), at TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX transitions_by_job ON transitions (job);
CREATE TABLE device_locks (device INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id)) STRICT;
CREATE TABLE nightly (name TEXT PRIMARY KEY, due TEXT NOT NULL) STRICT;
"""
_COLUMNS = "id, name, state, reason, attempt, priority, devices, prefix, cancel, submitted, changed"


class StoreError(Exception):
    """The store cannot be opened or used."""


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


@dataclass(frozen=True)
class Transition:
    """One line of a job's history."""

    at: datetime
    state: State
    attempt: int
    reason: str


class Store:
    """The store, opened for reading and writing by the daemon, or only for reading by anybody else."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open `path`, creating it when it is not there. Raises StoreError."""
        try:
            connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            store = cls(connection)
            store._migrate(path)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{path}: {error}; move it away to start with an empty store") from error
            raise
        return store

    @classmethod
    def open_for_reading(cls, path: Path) -> Self:
        """Open `path` without being able to change it. Raises StoreError when it is not there."""
        if not path.exists():
            raise StoreError(f"{path}: no store there; was glmd ever started with this root?")
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)
            connection.execute("SELECT 1 FROM jobs LIMIT 1")
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
        return cls(connection)

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _migrate(self, path: Path) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StoreError(f"{path}: made by a newer glmd (schema {version}, this one knows {VERSION})")
        if version == 0:
            with self._transaction():
                for statement in _SCHEMA.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version={VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # Jobs

    def add(self, new: NewJob, state: State = State.QUEUED, reason: str = "") -> Job:
        """Add a job, or return the one that was added for the same claim before."""
        at = _now()
        with self._transaction():
            if (there := self.claimed(new.claim)) is not None:
                return there
            (number,) = self._connection.execute(
                "INSERT INTO jobs (claim, digest, name, state, reason, attempt, priority, devices, prefix, submitted,"
                " changed) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?) RETURNING id",
                (new.claim, new.digest, new.name, state, reason, new.priority, json.dumps(new.devices), new.prefix,
                 at, at),
            ).fetchone()  # fmt: skip
            self._record(number, at, state, 1, reason)
        return self._one("claim = ?", new.claim)

    def job(self, job: int) -> Job:
        """Return one job; raises KeyError."""
        return self._one("id = ?", job)

    def claimed(self, claim: str) -> Job | None:
        """Return the job that was made from `claim`, if one was."""
        return next(iter(self._select("claim = ?", claim)), None)

    def jobs(self, states: Iterable[State] = tuple(State)) -> tuple[Job, ...]:
        """Return the jobs in `states`, oldest first."""
        wanted = tuple(states)
        return self._select(f"state IN ({','.join('?' * len(wanted))})", *wanted)

    def queue(self) -> tuple[Job, ...]:
        """Return the waiting jobs, the next one first: by priority, then by arrival."""
        return tuple(sorted(self.jobs([State.QUEUED]), key=lambda job: (-job.priority, job.id)))

    def unfinished_with(self, digest: str) -> Job | None:
        """Return a job that was made of the same bytes and is not over."""
        over = tuple(OVER)
        return next(
            iter(self._select(f"digest = ? AND state NOT IN ({','.join('?' * len(over))})", digest, *over)), None
        )

    def newest_with(self, digest: str) -> Job | None:
        """Return the newest job that was made of bytes with this digest."""
        return next(reversed(self._select("digest = ?", digest)), None)

    def newest_named(self, name: str) -> Job | None:
        """Return the newest job of this name."""
        return next(reversed(self._select("name = ?", name)), None)

    def history(self, job: int) -> tuple[Transition, ...]:
        """Return a job's transitions, oldest first."""
        rows = self._connection.execute(
            "SELECT at, state, attempt, reason FROM transitions WHERE job = ? ORDER BY rowid", (job,)
        )
        return tuple(Transition(datetime.fromisoformat(at), State(state), n, why) for at, state, n, why in rows)

    def move(self, job: Job, state: State, reason: str = "", *, attempt: int | None = None) -> Job:
        """Let `job` go to `state`, in one transaction with its devices' locks.

        Raises TransitionError when the table has no such way or the job has moved meanwhile, and DeviceTakenError when
        it needs a device that another job holds; nothing is changed then.
        """
        if state not in TRANSITIONS[job.state]:
            raise TransitionError(f"job {job.id} cannot go from {job.state} to {state}")
        at, number = _now(), attempt or job.attempt
        with self._transaction():
            moved = self._connection.execute(
                "UPDATE jobs SET state = ?, reason = ?, attempt = ?, changed = ?, cancel = cancel AND ?"
                " WHERE id = ? AND state = ?",
                (state, reason, number, at, not state.is_over, job.id, job.state),
            )
            if moved.rowcount != 1:
                raise TransitionError(f"job {job.id} is no longer {job.state}")
            self._record(job.id, at, state, number, reason)
            if state not in HOLDING_DEVICES:
                self._connection.execute("DELETE FROM device_locks WHERE job = ?", (job.id,))
            elif job.state not in HOLDING_DEVICES:
                self._lock(job)
        return self.job(job.id)

    def ask_to_cancel(self, job: Job) -> None:
        """Remember that `job` is to be ended, until it is over."""
        self._connection.execute("UPDATE jobs SET cancel = 1 WHERE id = ?", (job.id,))

    def _lock(self, job: Job) -> None:
        try:
            self._connection.executemany(
                "INSERT INTO device_locks (device, job) VALUES (?, ?)", [(device, job.id) for device in job.devices]
            )
        except sqlite3.IntegrityError as error:
            raise DeviceTakenError(f"job {job.id} needs devices {job.devices}, of which one is taken") from error

    def locks(self) -> dict[int, int]:
        """Return which job holds each device that is held."""
        return dict(self._connection.execute("SELECT device, job FROM device_locks ORDER BY device"))

    # Nightly cycles

    def last_due(self, cycle: str) -> datetime | None:
        """Return the time for which nightly `cycle` was last dropped."""
        row = self._connection.execute("SELECT due FROM nightly WHERE name = ?", (cycle,)).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def set_last_due(self, cycle: str, due: datetime) -> None:
        """Remember that nightly `cycle` was dropped for the time `due`."""
        self._connection.execute(
            "INSERT INTO nightly (name, due) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET due = excluded.due",
            (cycle, due.isoformat()),
        )

    def _record(self, job: int, at: str, state: State, attempt: int, reason: str) -> None:
        self._connection.execute(
            "INSERT INTO transitions (job, at, state, attempt, reason) VALUES (?, ?, ?, ?, ?)",
            (job, at, state, attempt, reason),
        )

    def _one(self, where: str, value: object) -> Job:
        found = self._select(where, value)
        if not found:
            raise KeyError(value)
        return found[0]

    def _select(self, where: str, *values: object) -> tuple[Job, ...]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE {where} ORDER BY id", values)  # noqa: S608 - `where` is ours
        return tuple(_job(row) for row in rows)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _job(row: tuple[int, str, str, str, int, int, str, str, int, str, str]) -> Job:
    number, name, state, reason, attempt, priority, devices, prefix, cancel, submitted, changed = row
    return Job(
        id=number,
        name=name,
        state=State(state),
        reason=reason,
        attempt=attempt,
        priority=priority,
        devices=tuple(json.loads(devices)),
        prefix=prefix,
        cancel=bool(cancel),
        submitted=datetime.fromisoformat(submitted),
        changed=datetime.fromisoformat(changed),
    )
