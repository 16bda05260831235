"""What became of each time that a nightly cycle was due, as the store keeps it."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

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
        "SELECT cycle, due, at, outcome, job, reason, code FROM nightly_runs WHERE cycle = ? AND due = ?",
        (cycle, _utc(due)),
    ).fetchone()
    return None if row is None else _run(row)


def _run(row: tuple[str, str, str, str, int | None, str, str]) -> NightRun:
    cycle, due, at, outcome, job, reason, code = row
    return NightRun(cycle, datetime.fromisoformat(due), datetime.fromisoformat(at), Outcome(outcome), job, reason, code)


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
