"""What `latest/PREFIX` has led to, as the store keeps it: a row for each change, oldest first, and none is taken out.

The newest row of a prefix says where its link leads, or is to lead: a crash between the two leaves a row that the link
has not followed yet. By that such a link is told from one that somebody has set by hand since.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from daemon.core.states import Job
from handlers.codes import Code

_COLUMNS = "id, prefix, kind, job, cycle, target, at, by, reason, undone, followed"
_Row = tuple[int, str, str, int | None, str, str, str, str, str, int | None, int]


class Kind(StrEnum):
    """How `latest/PREFIX` came to lead elsewhere."""

    PROMOTION = "promotion"
    """An output was promoted: by itself, or since somebody asked."""
    ROLLBACK = "rollback"
    """Promotions were taken back: it leads to what was promoted before them."""
    FOUND = "found"
    """Somebody else has set the link, be it an older glmd: what it leads to counts as promoted."""
    REMOVED = "removed"
    """Somebody has removed the link: it leads nowhere, until the next promotion."""


_PROMOTED = (Kind.PROMOTION, Kind.FOUND)
_NO_OBJECTIONS = frozenset({"", Code.PROMOTION_NOT_NEWEST, Code.PROMOTION_UNDONE, Code.JOB_CANCELLED})
"""Codes of outputs that did not become `latest`, though nothing is wrong with them."""


def says_no(code: str) -> bool:
    """Say whether `code`, of a job that is done and was not promoted, is an objection to its output."""
    return code not in _NO_OBJECTIONS


@dataclass(frozen=True)
class Promotion:
    """One change of what `latest/PREFIX` leads to."""

    prefix: str
    kind: Kind
    target: str
    """Where the output lies, from the root as far as it is in there; empty where the link was removed."""
    at: datetime
    job: int | None = None
    """None where the output is no job's that glmd knows."""
    cycle: str = ""
    """Of that job."""
    by: str = ""
    """Who asked; empty: nobody, glmd did it by itself."""
    reason: str = ""
    id: int = 0
    undone: int | None = None
    """The rollback that took it back."""
    followed: bool = False
    """Whether the link was seen to lead there since."""

    @classmethod
    def of(cls, job: Job, *, by: str = "", reason: str = "") -> Self:
        """Return the promotion of what `job` has merged."""
        target = target_of(job)
        return cls(job.prefix, Kind.PROMOTION, target, datetime.now(UTC), job.id, job.cycle, by=by, reason=reason)

    def as_json(self, *, is_latest: bool) -> dict[str, object]:
        """Return the documented keys; `is_latest` is whether it is what the link leads to now."""
        return asdict(self) | {"at": self.at.isoformat(), "is_latest": is_latest and bool(self.target)}

    @property
    def name(self) -> str:
        """What to call the output, for people."""
        return f"job {self.job}" if self.job is not None else self.target or "nothing"

    def directory(self, root: Path) -> Path | None:
        """Return where the output lies; None where the link was removed."""
        return root / self.target if self.target else None


@dataclass(frozen=True)
class Standing:
    """Where the link of a prefix is to lead, and where it was seen before."""

    present: Promotion | None = None
    """The newest change; None where glmd has never set the link, nor found it."""
    before: Promotion | None = None
    """The newest change before that which the link has followed."""


def target_of(job: Job) -> str:
    """Return where what `job` has merged lies, from the root."""
    return str(job.directory(Path()).merged)


def add(connection: sqlite3.Connection, promotion: Promotion) -> int:
    """Add a change, in the transaction of the caller, and return its number."""
    (number,) = connection.execute(
        "INSERT INTO promotions (prefix, kind, job, cycle, target, at, by, reason, followed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (promotion.prefix, promotion.kind, promotion.job, promotion.cycle, promotion.target,
         promotion.at.astimezone(UTC).isoformat(), promotion.by, promotion.reason, promotion.followed),
    ).fetchone()  # fmt: skip
    return int(number)


def roll_back(connection: sqlite3.Connection, rollback: Promotion, to: Promotion) -> None:
    """Add a rollback, and let it take back what was promoted behind `to`; in the transaction of the caller."""
    number = add(connection, rollback)
    connection.execute(
        "UPDATE promotions SET undone = ? WHERE prefix = ? AND id > ? AND id < ? AND kind IN (?, ?) AND undone IS NULL",
        (number, rollback.prefix, to.id, number, *_PROMOTED),
    )


def follow(connection: sqlite3.Connection, promotion: Promotion) -> None:
    """Note that the link leads where `promotion` says."""
    connection.execute("UPDATE promotions SET followed = 1 WHERE id = ?", (promotion.id,))


def history(connection: sqlite3.Connection, prefix: str | None = None) -> tuple[Promotion, ...]:
    """Return the changes of `prefix`, or of all, oldest first; without those that say nothing."""
    return _select(connection, "?1 IS NULL OR prefix = ?1 ORDER BY id", prefix)


def prefixes(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the prefixes of which there is a change."""
    return frozenset(prefix for (prefix,) in connection.execute("SELECT DISTINCT prefix FROM promotions"))


def newest(connection: sqlite3.Connection) -> int:
    """Return the number of the newest change; 0 where there is none."""
    (number,) = connection.execute("SELECT MAX(id) FROM promotions").fetchone()
    return number or 0


def standing(connection: sqlite3.Connection, prefix: str) -> Standing:
    """Return where the link of `prefix` is to lead, and where it was before."""
    present = next(iter(_select(connection, "prefix = ? ORDER BY id DESC LIMIT 1", prefix)), None)
    if present is None:
        return Standing()
    where = "prefix = ? AND id < ? AND followed ORDER BY id DESC LIMIT 1"
    return Standing(present, next(iter(_select(connection, where, prefix, present.id)), None))


def is_promoted(connection: sqlite3.Connection, job: Job) -> bool:
    """Say whether the output of `job` was ever promoted."""
    where = "prefix = ? AND kind = ? AND job = ? AND target = ? LIMIT 1"
    return bool(_select(connection, where, job.prefix, Kind.PROMOTION, job.id, target_of(job)))


def not_undone(connection: sqlite3.Connection, prefix: str) -> tuple[Promotion, ...]:
    """Return what was promoted of `prefix` and not taken back, the newest first."""
    where = "prefix = ? AND kind IN (?, ?) AND undone IS NULL ORDER BY id DESC"
    return _select(connection, where, prefix, *_PROMOTED)


def of_jobs(connection: sqlite3.Connection, jobs: Collection[int]) -> tuple[Promotion, ...]:
    """Return what of these jobs was promoted and not taken back, oldest first."""
    where = "job IN (SELECT value FROM json_each(?)) AND kind = ? AND undone IS NULL ORDER BY id"
    return _select(connection, where, json.dumps(list(jobs)), Kind.PROMOTION)


def rivals(connection: sqlite3.Connection, prefix: str) -> tuple[Promotion, ...]:
    """Return those of what was ever promoted of `prefix` of which one is the newest training, oldest first.

    What became `latest` by itself was the newest then: only what came since may be newer, and need not be.
    """
    where = (
        "prefix = ?1 AND kind IN (?2, ?3) AND id >="
        " (SELECT COALESCE(MAX(id), 0) FROM promotions WHERE prefix = ?1 AND kind = ?2 AND by = '') ORDER BY id"
    )
    return _select(connection, where, prefix, *_PROMOTED)


def of_cycle(connection: sqlite3.Connection, cycle: str) -> tuple[Promotion, ...]:
    """Return, of each prefix, the newest that `cycle` has promoted and that was not taken back; none for no cycle."""
    return tuple(one for one in of_cycles(connection) if one.cycle == cycle) if cycle else ()


def of_cycles(connection: sqlite3.Connection) -> tuple[Promotion, ...]:
    """Return, of each prefix and each cycle, the newest that it has promoted and that was not taken back."""
    newest = (
        "SELECT MAX(id) FROM promotions WHERE cycle != '' AND kind IN (?, ?) AND undone IS NULL GROUP BY prefix, cycle"
    )
    return _select(connection, f"id IN ({newest}) ORDER BY id", *_PROMOTED)


def _select(connection: sqlite3.Connection, where: str, *values: object) -> tuple[Promotion, ...]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM promotions WHERE {where}", values)  # noqa: S608 - all ours
    return tuple(_readable(rows))


def _readable(rows: Iterable[_Row]) -> Iterator[Promotion]:
    for number, prefix, kind, job, cycle, target, at, by, reason, undone, followed in rows:
        try:
            known_kind, when = Kind(kind), datetime.fromisoformat(at)
        except ValueError:  # nothing that glmd has written; `glmd doctor --state` tells
            continue
        yield Promotion(
            prefix, known_kind, target, when, job, cycle, by, reason, id=number, undone=undone, followed=bool(followed)
        )  # fmt: skip
