"""What became of each time that a nightly cycle was due, as the store keeps it."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from daemon.core.promotions import says_no
from daemon.core.states import OVER, State
from handlers.run_names import YEARS, time_of

_COLUMNS = "cycle, due, at, outcome, job, reason, code"

BY_HAND = "tried by hand"
"""The reason of a run that the clock did not drop: somebody did."""


class Outcome(StrEnum):
    """What glmd did when a cycle was due."""

    DROPPED = "dropped"
    """Its YAML was put into the inbox."""
    CAUGHT_UP = "caught_up"
    """The same, later: the daemon was not there, or could not."""
    SKIPPED = "skipped"
    """Nothing was dropped, and nothing will be: the reason says why."""
    FAILED = "failed"
    """It could not be dropped; that is tried again."""

    @property
    def has_file(self) -> bool:
        """Whether there is a file of it, which becomes a job."""
        return self in {Outcome.DROPPED, Outcome.CAUGHT_UP}

    @property
    def is_to_come(self) -> bool:
        """Whether there is a job of it, or may be one yet."""
        return self is not Outcome.SKIPPED


@dataclass(frozen=True)
class NightRun:
    """A time at which a cycle was due, and what came of it."""

    cycle: str
    due: datetime
    at: datetime
    """When that was known."""
    outcome: Outcome
    job: int | None = None
    """None until the dropped file is a job, and where none was dropped."""
    reason: str = ""
    code: str = ""
    """What programs tell `reason` by."""


@dataclass(frozen=True)
class Counted:
    """How the daemon counts the nights of a cycle that is in its settings."""

    cycle: str
    last: datetime
    """The time that it has counted last."""
    cron: str
    """Empty where an older glmd counted."""
    timezone: str
    """Empty for the host's, and where an older glmd counted."""
    since: datetime
    """Since when it is counted so: since it is new, or its expression or zone was changed."""


def keep(connection: sqlite3.Connection, run: NightRun) -> None:
    """Keep what became of a due time, in place of what was known of it before."""
    connection.execute(
        "INSERT INTO nightly_runs (cycle, due, at, outcome, job, reason, code) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (cycle, due) DO UPDATE SET at = excluded.at, outcome = excluded.outcome,"
        " job = COALESCE(excluded.job, job), reason = excluded.reason, code = excluded.code",
        (run.cycle, _utc(run.due), _utc(run.at), run.outcome, run.job, run.reason, run.code),
    )


def taken_in(connection: sqlite3.Connection, run: NightRun) -> None:
    """Keep which job a dropped file has become; where the clock has dropped none, somebody else has, as `run` says."""
    connection.execute(
        "INSERT INTO nightly_runs (cycle, due, at, outcome, job, reason, code) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (cycle, due) DO UPDATE SET job = excluded.job",
        (run.cycle, _utc(run.due), _utc(run.at), run.outcome, run.job, run.reason, run.code),
    )


def of_cycle(connection: sqlite3.Connection, cycle: str, due: datetime) -> NightRun | None:
    """Return what is known of one due time; None where nothing is."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM nightly_runs WHERE cycle = ? AND due = ?",  # noqa: S608 - all ours
        (cycle, _utc(due)),
    ).fetchone()
    return None if row is None else _run(row)


def since(connection: sqlite3.Connection, due: datetime, until: datetime | None = None) -> Iterator[NightRun]:
    """Yield what is known of all times from `due` on, and before `until`, in order; without what says nothing."""
    times = _utc(due), _utc(until or datetime.max.replace(tzinfo=UTC))
    rows = connection.execute(f"SELECT {_COLUMNS} FROM nightly_runs WHERE due >= ? AND due < ? ORDER BY due", times)  # noqa: S608 - all ours
    for row in rows:
        try:
            run = _run(row)
        except ValueError:  # nothing that glmd has written
            continue
        if run.due.tzinfo and run.at.tzinfo and run.due.year in YEARS:
            yield run


def counted(connection: sqlite3.Connection) -> Iterator[Counted]:
    """Yield how the cycles are counted that are in the daemon's settings; without what says nothing."""
    rows = connection.execute("SELECT name, due, cron, timezone, since FROM nightly ORDER BY name")
    for name, due, cron, timezone, begun in rows:
        try:
            last, since = datetime.fromisoformat(due), datetime.fromisoformat(begun)
        except ValueError:  # nothing that glmd has written
            continue
        if last.tzinfo and since.tzinfo and last.year in YEARS and since.year in YEARS:
            yield Counted(name, last, cron, timezone, since)


def count(connection: sqlite3.Connection, cycle: str, last: datetime, cron: str, timezone: str) -> None:
    """Remember that `cycle` is done with the time `last`, and by what it was counted."""
    before = next((known for known in counted(connection) if known.cycle == cycle), None)
    is_same = before is not None and (before.cron, before.timezone) == (cron, timezone)
    since = min(before.since, last) if before and is_same else last  # the clock may have been ahead
    connection.execute(
        "INSERT OR REPLACE INTO nightly (name, due, cron, timezone, since) VALUES (?, ?, ?, ?, ?)",
        (cycle, last.isoformat(), cron, timezone, _utc(since)),
    )


def cycles(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all cycles of which anything is known, also of those that the settings no longer have."""
    rows = connection.execute(
        "SELECT DISTINCT cycle FROM jobs WHERE cycle != '' UNION SELECT DISTINCT cycle FROM nightly_runs"
        " UNION SELECT name FROM nightly ORDER BY 1"
    )
    return [name for (name,) in rows]


def streak(connection: sqlite3.Connection, cycle: str, spoilt: datetime | None) -> int:
    """Return how many runs of a cycle were done one after the other, up to the newest that is over.

    A run that was done with an objection ends it, as one does that was due before `spoilt`.
    """
    rows = connection.execute("SELECT name, state, code FROM jobs WHERE cycle = ? ORDER BY id DESC", (cycle,))
    found = 0
    for name, state, code in rows:
        if spoilt is not None and (due := time_of(name)) is not None and due <= spoilt:
            break
        if state == State.DONE and not says_no(code):
            found += 1
        elif state in OVER:
            break
    return found


def _run(row: tuple[str, str, str, str, int | None, str, str]) -> NightRun:
    cycle, due, at, outcome, job, reason, code = row
    return NightRun(cycle, datetime.fromisoformat(due), datetime.fromisoformat(at), Outcome(outcome), job, reason, code)


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
