"""What glmd has removed of jobs, as the store keeps it: a row before it touches the first file, to continue by."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from handlers.retention.part import Part

_COLUMNS = "id, job, part, bytes, begun, ended, by, reason"


@dataclass(frozen=True)
class Pruning:
    """The removal of a part of a job."""

    job: int
    part: Part
    bytes: int
    reason: str
    begun: datetime
    by: str = ""
    """Who asked; empty: glmd by itself."""
    ended: datetime | None = None
    """None while some of it may still be in its place."""
    id: int = 0

    @property
    def text(self) -> str:
        """What there is to say of what was removed."""
        asked = f", as {self.by} asked" if self.by else ""
        if self.ended is None:
            return f"being removed{asked} ({self.reason})"
        return f"removed on {self.ended.astimezone():%Y-%m-%d %H:%M}{asked} ({self.reason})"

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "part": self.part,
            "bytes": self.bytes,
            "begun": self.begun.isoformat(),
            "ended": None if self.ended is None else self.ended.isoformat(),
            "by": self.by,
            "reason": self.reason,
        }


def begin(connection: sqlite3.Connection, pruning: Pruning) -> int:
    """Add one that begins, in the transaction of the caller, and return its number."""
    (number,) = connection.execute(
        "INSERT INTO prunings (job, part, bytes, begun, by, reason) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (pruning.job, pruning.part, pruning.bytes, pruning.begun.astimezone(UTC).isoformat(), pruning.by,
         pruning.reason),
    ).fetchone()  # fmt: skip
    return int(number)


def end(connection: sqlite3.Connection, pruning: Pruning, at: datetime) -> None:
    """Note that nothing of it is left."""
    connection.execute("UPDATE prunings SET ended = ? WHERE id = ?", (at.astimezone(UTC).isoformat(), pruning.id))


def give_up(connection: sqlite3.Connection, pruning: Pruning) -> None:
    """Forget one that is not to be continued."""
    connection.execute("DELETE FROM prunings WHERE id = ?", (pruning.id,))


def unended(connection: sqlite3.Connection) -> tuple[Pruning, ...]:
    """Return what is to be continued, oldest first."""
    return tuple(_select(connection, "ended IS NULL ORDER BY id"))


def of_job(connection: sqlite3.Connection, job: int) -> tuple[Pruning, ...]:
    """Return what was removed of a job, or is being removed, oldest first."""
    return tuple(_select(connection, "job = ? ORDER BY id", job))


def first_job(connection: sqlite3.Connection) -> int:
    """Return from which job on glmd prunes by itself."""
    (first,) = connection.execute("SELECT MAX(first) FROM retention").fetchone()
    return int(first)


def _select(connection: sqlite3.Connection, where: str, *values: object) -> Iterator[Pruning]:
    for number, job, part, size, begun, ended, by, reason in connection.execute(
        f"SELECT {_COLUMNS} FROM prunings WHERE {where}",  # noqa: S608 - all ours
        values,
    ):
        try:
            known = Part(part)
            times = datetime.fromisoformat(begun), datetime.fromisoformat(ended) if ended else None
        except ValueError:  # nothing that glmd has written
            continue
        yield Pruning(job, known, size, reason, times[0], by, times[1], number)
