"""How much there is of what the store keeps: counted by SQLite, for anyone who watches glmd."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from daemon.core.states import State
from handlers.codes import Code
from handlers.run_names import YEARS

Line = tuple[int, float | None, bytes, bytes]
"""Of a transition: its job, when in seconds (None where that is no time), to which state, with which code."""


@dataclass(frozen=True)
class NightCount:
    """How often a due time of a cycle has had an outcome, and when last."""

    cycle: str
    outcome: str
    count: int
    newest: datetime
    unchanged: datetime | None
    """The newest of them that was left out since there was nothing new to train on."""


def lines(connection: sqlite3.Connection, after: int, last: int) -> Iterator[Line]:
    """Yield the transitions behind the number `after`, up to `last`: as bytes, and so a million in a second."""
    return connection.execute(
        "SELECT job, (julianday(at) - 2440587.5) * 86400, CAST(state AS BLOB), CAST(code AS BLOB) FROM transitions"
        " WHERE id > ? AND id <= ? ORDER BY id",
        (after, last),
    )


def by_state(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many jobs are in each state; those in none have no entry."""
    return dict(connection.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state"))


def oldest_waiting(connection: sqlite3.Connection) -> datetime | None:
    """Return when the oldest job was submitted that waits."""
    (submitted,) = connection.execute("SELECT MIN(submitted) FROM jobs WHERE state = ?", (State.QUEUED,)).fetchone()
    return _moment(submitted)


def merged_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the merged outputs of all jobs that are done, as they were then."""
    asked = "SELECT TOTAL(bytes) FROM results JOIN jobs ON job = id WHERE state = ?"
    return int(connection.execute(asked, (State.DONE,)).fetchone()[0])


def promotions(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many changes of each kind there were of what any `latest/PREFIX` leads to."""
    return dict(connection.execute("SELECT kind, COUNT(*) FROM promotions GROUP BY kind"))


def pruned(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Return of each part how often one was removed, and how many bytes that freed."""
    asked = "SELECT part, COUNT(*), CAST(TOTAL(bytes) AS INTEGER) FROM prunings WHERE ended IS NOT NULL GROUP BY part"
    return {part: (count, size) for part, count, size in connection.execute(asked)}


def nights(connection: sqlite3.Connection) -> Iterator[NightCount]:
    """Yield what became of the due times of all cycles; without what says nothing."""
    asked = (
        "SELECT cycle, outcome, COUNT(*), MAX(due), MAX(CASE WHEN code = ? THEN due END) FROM nightly_runs"
        " GROUP BY cycle, outcome"
    )
    for cycle, outcome, count, newest, unchanged in connection.execute(asked, (Code.NIGHT_UNCHANGED,)):
        if (due := _moment(newest)) is not None:
            yield NightCount(cycle, outcome, count, due, _moment(unchanged))


def _moment(text: str | None) -> datetime | None:
    """Return the time in `text`; None for one that glmd has not written."""
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None and found.year in YEARS else None
