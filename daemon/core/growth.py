"""How fast jobs fill the disk, by what the store knows: what they left, less what was pruned."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAYS = 14
"""Of which it is counted; less where glmd is new."""


@dataclass(frozen=True)
class Growth:
    """What jobs took more of the disk, on average."""

    bytes_a_day: float
    """Negative where more was pruned."""


def growth(connection: sqlite3.Connection, now: datetime) -> Growth | None:
    """Return how fast the disk fills at present; None where no job of late is known to have left anything."""
    since = (now - timedelta(days=DAYS)).astimezone(UTC).isoformat()
    count, left, first = connection.execute(
        "SELECT COUNT(*), SUM(COALESCE(bytes, 0) + COALESCE(shards, 0)), (SELECT MIN(submitted) FROM jobs)"
        " FROM results JOIN jobs ON job = id WHERE changed >= ? AND COALESCE(bytes, shards) IS NOT NULL",
        (since,),
    ).fetchone()
    if not count:
        return None
    (pruned,) = connection.execute("SELECT SUM(bytes) FROM prunings WHERE ended >= ?", (since,)).fetchone()
    try:
        age = (now - datetime.fromisoformat(first)) / timedelta(days=1)
    except (ValueError, TypeError):  # nothing that glmd has written
        age = DAYS
    return Growth((left - (pruned or 0)) / min(DAYS, max(1.0, age)))
