"""The store as the check reads it: all rows at one moment, those that make no sense set apart."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from daemon.database import connect_for_reading
from daemon.job_rows import COLUMNS, NO_JOB, job_of, why_none
from daemon.state_check.disagreement import Disagreement, Kind
from daemon.states import Job, State

_ASK = "ask for help with the text above; glmd itself never writes such a row"
_FROM_BACKUP = "stop glmd, and move the file away or take it from a backup; job directories stay as they are"


@dataclass(frozen=True)
class Move:
    """One line of a job's history. `number` grows over all jobs, whatever the clock does."""

    number: int
    state: State
    attempt: int


@dataclass(frozen=True)
class Row:
    """One job with what it was made from, and its history, oldest first."""

    job: Job
    claim: str
    digest: str
    moves: tuple[Move, ...]

    @property
    def is_of_a_drop(self) -> bool:
        """Whether a dropped file became this job; else a watched tree did, or nothing could be claimed."""
        return not self.claim.startswith(("tree:", "left:"))


@dataclass(frozen=True)
class Ledger:
    """Everything that the store says."""

    path: Path
    rows: tuple[Row, ...]
    locks: dict[int, int]
    """Device → the job that holds it."""
    labels: dict[int, str]
    """The names of all jobs' directories, unreadable rows included."""
    unreadable: tuple[Disagreement, ...]


def read_ledger(path: Path) -> Ledger:
    """Read the store at `path`. Raises StoreError when it is not there, and sqlite3.Error when it is damaged."""
    with closing(connect_for_reading(path)) as connection:
        connection.execute("BEGIN")  # all that follows is of one moment
        damage = [line for (line,) in connection.execute("PRAGMA quick_check(3)") if line != "ok"]
        if damage:
            raise sqlite3.DatabaseError("; ".join(damage))
        unreadable: list[Disagreement] = []
        moves = _moves(path, connection, unreadable)
        rows, labels = [], {}
        for claim, digest, *raw in connection.execute(f"SELECT claim, digest, {COLUMNS} FROM jobs ORDER BY id"):  # noqa: S608 - ours
            number, name, *_ = raw
            labels[number] = f"{number:04d}-{name}"
            try:
                job = job_of(tuple(raw))
            except NO_JOB as error:
                unreadable.append(_unreadable(path, number, f"its row cannot be read: {why_none(error)}"))
            else:
                rows.append(Row(job, claim, digest, tuple(moves.get(job.id, ()))))
        locks = dict(tuple(row) for row in connection.execute("SELECT device, job FROM device_locks ORDER BY device"))
    return Ledger(path, tuple(rows), locks, labels, tuple(unreadable))


def damaged(path: Path, error: sqlite3.Error) -> Disagreement:
    """Return what there is to say of a store that SQLite cannot read."""
    return Disagreement(Kind.UNREADABLE, None, path, f"SQLite says: {error}", _FROM_BACKUP)


def _unreadable(path: Path, job: int, what: str) -> Disagreement:
    return Disagreement(Kind.UNREADABLE, job, path, what, _ASK)


def _moves(path: Path, connection: sqlite3.Connection, unreadable: list[Disagreement]) -> dict[int, list[Move]]:
    moves: dict[int, list[Move]] = {}
    for number, job, state, attempt in _tuples(connection, "SELECT rowid, job, state, attempt FROM transitions"):
        try:
            moves.setdefault(job, []).append(Move(number, State(state), attempt))
        except ValueError as error:
            unreadable.append(_unreadable(path, job, f"its history cannot be read: {error}"))
    return moves


def _tuples(connection: sqlite3.Connection, query: str) -> Iterator[tuple[int, int, str, int]]:
    yield from (tuple(row) for row in connection.execute(f"{query} ORDER BY rowid"))
