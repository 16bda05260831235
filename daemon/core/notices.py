"""What somebody should know and is no job's transition, as the store keeps it: each a row, written once.

A row says when it was no longer so, and none is taken out: anyone who tells people goes on behind the last one told.
"""

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from daemon.core.happened import Place, moment
from daemon.core.night_runs import NightRun, Outcome
from handlers.codes import Code

AGAIN = timedelta(hours=12)
"""While one lasts, nights that are due less than so long after its own get none: a cycle may come every hour."""

_COLUMNS = "id, at, kind, job, cycle, due, text, passed"
_Row = tuple[int, str, str, int | None, str | None, str | None, str, str | None]


class NoticeKind(StrEnum):
    """What it is about."""

    NIGHTLY_SKIPPED = "nightly_skipped"
    """A night was left out: the run before was not over."""
    NIGHTLY_FAILED = "nightly_failed"
    """A night's YAML cannot be dropped; that is tried again."""
    NIGHTLY_LATE = "nightly_late"
    """A night was dropped long after its time."""
    NIGHTLY_OVERDUE = "nightly_overdue"
    """A night has no success so long after its time."""
    DISK_LOW = "disk_low"
    """The nights to come need more room than there is."""


@dataclass(frozen=True)
class Notice:
    """One thing that somebody should know."""

    kind: NoticeKind
    text: str
    """All that there is to say, for people."""
    at: datetime
    """When it was seen."""
    cycle: str = ""
    """Empty where it is about none, or several."""
    due: datetime | None = None
    """Of the night that it is about, or the first of them."""
    job: int | None = None
    id: int = 0
    """It grows with each."""
    passed: datetime | None = None
    """When it was no longer so; None while it is."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "kind": self.kind,
            "job": self.job,
            "cycle": self.cycle,
            "due": None if self.due is None else self.due.isoformat(),
            "text": self.text,
            "passed": None if self.passed is None else self.passed.isoformat(),
        }


def add(connection: sqlite3.Connection, notice: Notice) -> bool:
    """Add it, unless the same lasts already or was told of that night; return whether it was added."""
    due = None if notice.due is None else _utc(notice.due)
    soon = None if notice.due is None else _utc(notice.due - AGAIN)
    added = connection.execute(
        "INSERT INTO notices (at, kind, job, cycle, due, text) SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS"
        " (SELECT 1 FROM notices WHERE kind = ?2 AND cycle IS ?4 AND"
        " (CASE WHEN passed IS NULL THEN due IS ?5 OR due > ?7 ELSE due = ?5 AND kind != ?8 END))",
        (_utc(notice.at), notice.kind, notice.job, notice.cycle or None, due, notice.text, soon, NoticeKind.DISK_LOW),
    )
    return added.rowcount == 1


def pass_kind(connection: sqlite3.Connection, kind: NoticeKind, at: datetime) -> None:
    """Let those of `kind` be no longer so since `at`."""
    connection.execute("UPDATE notices SET passed = ? WHERE kind = ? AND passed IS NULL", (_utc(at), kind))


def pass_cycle(connection: sqlite3.Connection, cycle: str, until: datetime, at: datetime) -> None:
    """Let those of a cycle be no longer so that are about its nights up to `until`: what came then was good."""
    connection.execute(
        "UPDATE notices SET passed = ? WHERE cycle = ? AND due <= ? AND passed IS NULL", (_utc(at), cycle, _utc(until))
    )


def pass_other_cycles(connection: sqlite3.Connection, keep: Collection[str], at: datetime) -> None:
    """Let those of all cycles but `keep` be no longer so."""
    kept = ",".join("?" * len(keep))
    where = f"passed IS NULL AND cycle IS NOT NULL AND cycle NOT IN ({kept})"
    connection.execute(f"UPDATE notices SET passed = ? WHERE {where}", (_utc(at), *keep))  # noqa: S608 - all ours


def take_note(connection: sqlite3.Connection, run: NightRun) -> None:
    """Add what there is to tell of what became of a night, and let pass what is no longer so by that."""
    if notice := _of_night(run):
        add(connection, notice)
    if run.outcome.has_file:
        connection.execute(
            "UPDATE notices SET passed = ? WHERE kind = ? AND cycle = ? AND due <= ? AND passed IS NULL",
            (_utc(run.at), NoticeKind.NIGHTLY_FAILED, run.cycle, _utc(run.due)),
        )
    elif run.code == Code.NIGHT_UNCHANGED:  # the last run that is done was made of all that there is
        pass_cycle(connection, run.cycle, run.due, run.at)


def select(connection: sqlite3.Connection, *, also_passed: bool) -> Iterator[Notice]:
    """Yield those that last, or all, oldest first; without those that say nothing."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM notices WHERE passed IS NULL OR ? ORDER BY id", (also_passed,))  # noqa: S608 - all ours
    for row in rows:
        try:
            yield _notice(row)
        except ValueError:  # nothing that glmd has written
            continue


def after(connection: sqlite3.Connection, number: int, most: int) -> Iterator[tuple[Place, Notice | None]]:
    """Yield those behind `number`, each with its place; None for one that says nothing."""
    for row in connection.execute(f"SELECT {_COLUMNS} FROM notices WHERE id > ? ORDER BY id LIMIT ?", (number, most)):  # noqa: S608 - all ours
        try:
            moment(row[1])
            notice = _notice(row)
        except ValueError:
            notice = None
        yield Place(row[0], row[1]), notice


def lasting(connection: sqlite3.Connection) -> frozenset[int]:
    """Return the numbers of those that last."""
    return frozenset(number for (number,) in connection.execute("SELECT id FROM notices WHERE passed IS NULL"))


def _of_night(run: NightRun) -> Notice | None:
    night = f"{run.cycle}: the night of {run.due.astimezone():%Y-%m-%d %H:%M}"
    match run.outcome:
        case Outcome.SKIPPED if run.code == Code.NIGHT_SKIPPED:
            return _nightly(run, NoticeKind.NIGHTLY_SKIPPED, f"{night} was left out: {run.reason}")
        case Outcome.FAILED:
            text = f"{night} could not be dropped, which is tried again: {run.reason}"
            return _nightly(run, NoticeKind.NIGHTLY_FAILED, text)
        case Outcome.CAUGHT_UP:
            return _nightly(
                run, NoticeKind.NIGHTLY_LATE, f"{night} was dropped late, {run.at.astimezone():%Y-%m-%d %H:%M}"
            )
        case _:
            return None


def _nightly(run: NightRun, kind: NoticeKind, text: str) -> Notice:
    return Notice(kind, text, run.at, run.cycle, run.due, run.job)


def _notice(row: _Row) -> Notice:
    number, at, kind, job, cycle, due, text, passed = row
    return Notice(
        NoticeKind(kind),
        text,
        datetime.fromisoformat(at),
        cycle or "",
        None if due is None else datetime.fromisoformat(due),
        job,
        number,
        None if passed is None else datetime.fromisoformat(passed),
    )


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
