"""What has happened to jobs, one after the other, for anyone who tells of it and goes on where it was."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from daemon.core.states import State
from handlers.run_names import YEARS


class History(StrEnum):
    """A table that only grows: each row has a number above those before it."""

    TRANSITIONS = "transitions"
    NOTICES = "notices"


@dataclass(frozen=True)
class Step:
    """A transition of some job."""

    number: int
    """It grows with each."""
    job: int
    name: str
    """The job's."""
    at: datetime
    state: State
    before: State | None
    """Where it was; None where this is its first."""
    attempt: int
    reason: str
    code: str


@dataclass(frozen=True)
class Place:
    """Up to where what has happened is known: the number of the last row, and its time, which tells stores apart."""

    number: int
    at: str


START = Place(0, "")
"""Before everything."""


def moment(text: str) -> datetime:
    """Return the time in `text`. Raises ValueError for one that no clock of glmd's has shown."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or found.year not in YEARS:
        raise ValueError(f"{text:.100} is no time at which anything happened")
    return found


def newest(connection: sqlite3.Connection, history: History) -> Place:
    """Return the place of the last row."""
    row = connection.execute(f"SELECT id, at FROM {history} ORDER BY id DESC LIMIT 1").fetchone()  # noqa: S608 - all ours
    return Place(*row) if row else START


def is_there(connection: sqlite3.Connection, history: History, place: Place) -> bool:
    """Say whether `place` is one of this store: after a restore the numbers behind it are given again."""
    row = connection.execute(f"SELECT at FROM {history} WHERE id = ?", (place.number,)).fetchone()  # noqa: S608 - all ours
    return place == START or row == (place.at,)


def last_before(connection: sqlite3.Connection, history: History, at: str) -> Place:
    """Return the place of the row before the first one that is later than `at`."""
    later = f"SELECT MIN(id) FROM {history} WHERE at > ?"  # noqa: S608 - all ours
    row = connection.execute(
        f"SELECT id, at FROM {history} WHERE id < COALESCE(({later}), 1 << 62) ORDER BY id DESC LIMIT 1",  # noqa: S608 - all ours
        (at,),
    ).fetchone()
    return Place(*row) if row else START


_NAME = "SELECT name FROM jobs WHERE jobs.id = now.job"
_BEFORE = "SELECT state FROM transitions AS t WHERE t.job = now.job AND t.id < now.id ORDER BY t.id DESC LIMIT 1"


def steps_after(connection: sqlite3.Connection, number: int, most: int) -> Iterator[tuple[Place, Step | None]]:
    """Yield the transitions behind `number`, each with its place; None for one that says nothing."""
    rows = connection.execute(
        f"SELECT id, job, ({_NAME}), at, state, ({_BEFORE}), attempt, reason, code"  # noqa: S608 - all ours
        " FROM transitions AS now WHERE id > ? ORDER BY id LIMIT ?",
        (number, most),
    )
    for row in rows:
        yield Place(row[0], row[3]), _step(row)


_Row = tuple[int, int, str | None, str, str, str | None, int, str, str]


def _step(row: _Row) -> Step | None:
    number, job, name, at, state, before, attempt, reason, code = row
    try:
        time = moment(at)
        was = State(before) if before is not None else None
        return Step(number, job, name or "", time, State(state), was, attempt, reason, code)
    except ValueError:  # nothing that glmd has written; `glmd doctor --state` tells
        return None
