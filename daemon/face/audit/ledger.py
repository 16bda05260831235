"""The store as the check reads it: all rows at one moment, one after the other, those that make no sense set apart."""

import json
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from daemon.core.database import connect_for_reading
from daemon.core.job_rows import COLUMNS, NO_JOB, job_of, why_none
from daemon.core.states import Job, State
from daemon.face.audit.disagreement import Disagreement, Kind

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


class Ledger:
    """Everything that the store says. Nothing of it is kept: a store may have had a hundred thousand jobs."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def __len__(self) -> int:
        (count,) = self._connection.execute("SELECT COUNT(*) FROM jobs").fetchone()
        return int(count)

    def chunks(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield the first and last number of each `size` jobs."""
        numbers = (number for (number,) in self._connection.execute("SELECT id FROM jobs ORDER BY id"))
        while chunk := list(islice(numbers, size)):
            yield chunk[0], chunk[-1]

    def rows(self, first: int, last: int) -> Iterator[Row | Disagreement]:
        """Yield the jobs from one number to another, and what is wrong with a row, or with a line of a history."""
        yield from self._rows("BETWEEN ? AND ?", first, last)

    def rows_of(self, jobs: Collection[int]) -> Iterator[Row | Disagreement]:
        """Yield these jobs, as `rows`."""
        yield from self._rows("IN (SELECT value FROM json_each(?))", json.dumps(sorted(jobs)))

    def _rows(self, which: str, *values: object) -> Iterator[Row | Disagreement]:
        told = f"SELECT job, rowid, state, attempt FROM transitions WHERE job {which} ORDER BY job, rowid"  # noqa: S608 - all ours
        moves = self._connection.execute(told, values)
        move = next(moves, None)
        asked = f"SELECT claim, digest, {COLUMNS} FROM jobs WHERE id {which} ORDER BY id"  # noqa: S608 - all ours
        for claim, digest, *raw in self._connection.execute(asked, values):
            number, history = raw[0], []
            while move is not None and move[0] <= number:
                of, rowid, state, attempt = move
                if of == number:
                    try:
                        history.append(Move(rowid, State(state), attempt))
                    except ValueError as error:
                        yield self._unreadable(number, f"its history cannot be read: {error}")
                move = next(moves, None)
            try:
                job = job_of(tuple(raw))
            except NO_JOB as error:
                yield self._unreadable(number, f"its row cannot be read: {why_none(error)}")
            else:
                yield Row(job, claim, digest, tuple(history))

    def job(self, number: int) -> Job | None:
        """Return one job; None where there is none, or none that can be read."""
        return self._one("id = ?", number)

    def job_of(self, claim: str) -> Job | None:
        """Return the job that was made from `claim`."""
        return self._one("claim = ?", claim)

    def jobs(self, *states: State) -> Iterator[Job]:
        """Yield the jobs in `states`."""
        for state in states:
            for (number,) in self._connection.execute("SELECT id FROM jobs WHERE state = ? ORDER BY id", (state,)):
                if (job := self.job(number)) is not None:
                    yield job

    def locks(self) -> dict[int, int]:
        """Return device → the job that holds it."""
        return dict(self._connection.execute("SELECT device, job FROM device_locks ORDER BY device"))

    def label(self, number: int) -> str | None:
        """Return the name of a job's directory, also of one whose row cannot be read; None where there is no job."""
        found = self._connection.execute("SELECT name FROM jobs WHERE id = ?", (number,)).fetchone()
        return None if found is None else f"{number:04d}-{found[0]}"

    def claims_of_several(self) -> Iterator[tuple[str, list[int]]]:
        """Yield the claims that several jobs were made from, and those jobs."""
        for (claim,) in self._connection.execute("SELECT claim FROM jobs GROUP BY claim HAVING COUNT(*) > 1"):
            found = self._connection.execute("SELECT id FROM jobs WHERE claim = ? ORDER BY id", (claim,))
            yield claim, [number for (number,) in found]

    def moves_of_twins(self) -> Iterator[tuple[int, str, str, bool]]:
        """Yield the moves of jobs made of the same bytes as others, in order: job, digest, state, whether its first."""
        told = (
            "SELECT job, digest, moves.state, moves.rowid = (SELECT MIN(rowid) FROM transitions WHERE job = moves.job)"
            " FROM transitions AS moves JOIN jobs ON jobs.id = job WHERE digest IN"
            " (SELECT digest FROM jobs WHERE digest != '' GROUP BY digest HAVING COUNT(*) > 1) ORDER BY moves.rowid"
        )
        for job, digest, state, is_first in self._connection.execute(told):
            yield job, digest, state, bool(is_first)

    def _one(self, where: str, value: object) -> Job | None:
        told = f"SELECT {COLUMNS} FROM jobs WHERE {where}"  # noqa: S608 - all ours
        raw = self._connection.execute(told, (value,)).fetchone()
        try:
            return None if raw is None else job_of(raw)
        except NO_JOB:
            return None

    def _unreadable(self, job: int, what: str) -> Disagreement:
        return Disagreement(Kind.UNREADABLE, job, self.path, what, _ASK)


def read_ledger(path: Path, *, checked: bool = False) -> Ledger:
    """Open the store at `path`. Raises StoreError when it is not there, and sqlite3.Error when it is damaged.

    `checked` where it was looked through for damage just now.
    """
    connection = connect_for_reading(path)
    try:
        connection.execute("BEGIN")  # all that follows is of one moment
        if not checked:
            _check(connection)
    except BaseException:
        connection.close()
        raise
    return Ledger(path, connection)


def _check(connection: sqlite3.Connection) -> None:
    damage = [line for (line,) in connection.execute("PRAGMA quick_check(3)") if line != "ok"]
    if damage:
        raise sqlite3.DatabaseError("; ".join(damage))


def damaged(path: Path, error: sqlite3.Error) -> Disagreement:
    """Return what there is to say of a store that SQLite cannot read."""
    return Disagreement(Kind.UNREADABLE, None, path, f"SQLite says: {error}", _FROM_BACKUP)
