"""The store as the check reads it: all rows at one moment, one after the other, those that make no sense set apart."""

import json
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from daemon.core.database import refuse_damaged
from daemon.core.job_rows import COLUMNS, NO_JOB, job_of, why_none
from daemon.core.read_store import ReadStore
from daemon.core.reading import open_for_reading, unreadable
from daemon.core.states import Job, Source, State
from daemon.face.audit.disagreement import Disagreement, Kind
from handlers.retention.part import Part

_ASK = "ask for help with the text above; glmd itself never writes such a row"


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
    pruned: frozenset[Part] = frozenset()
    """What was removed of it since it was over."""

    @property
    def is_of_a_drop(self) -> bool:
        """Whether a dropped file became this job, which is trained then; else a watched tree did."""
        return self.job.source is not Source.TREE


class Ledger(ReadStore):
    """Everything that the store says. Nothing of it is kept: a store may have had a hundred thousand jobs."""

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
        query = f"SELECT job, rowid, state, attempt FROM transitions WHERE job {which} ORDER BY job, rowid"  # noqa: S608 - all ours
        moves = self._connection.execute(query, values)
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
                yield Row(job, claim, digest, tuple(history), self._pruned(job))

    def _pruned(self, job: Job) -> frozenset[Part]:
        if job.id not in self._with_prunings:
            return frozenset()
        return frozenset(one.part for one in self.prunings_of(job))

    @cached_property
    def _with_prunings(self) -> frozenset[int]:
        return frozenset(job for (job,) in self._connection.execute("SELECT DISTINCT job FROM prunings"))

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
        query = (
            "SELECT job, digest, moves.state, moves.rowid = (SELECT MIN(rowid) FROM transitions WHERE job = moves.job)"
            " FROM transitions AS moves JOIN jobs ON jobs.id = job WHERE digest IN"
            " (SELECT digest FROM jobs WHERE digest != '' GROUP BY digest HAVING COUNT(*) > 1) ORDER BY moves.rowid"
        )
        for job, digest, state, is_first in self._connection.execute(query):
            yield job, digest, state, bool(is_first)

    def _unreadable(self, job: int, what: str) -> Disagreement:
        return Disagreement(Kind.UNREADABLE, job, self.path, what, _ASK)


def read_ledger(path: Path, *, checked: bool = False) -> Ledger:
    """Open the store at `path`. Raises StoreError, and DamagedStoreError where it is damaged.

    `checked` where it was looked through for damage just now.
    """
    connection = open_for_reading(path)
    try:
        connection.execute("BEGIN")  # all that follows is of one moment
        if not checked:
            refuse_damaged(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise unreadable(path, error) from error
        raise
    return Ledger(connection, path)
