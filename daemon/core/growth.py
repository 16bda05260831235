"""How fast jobs fill the disk, by what the store knows: what they left, less what was pruned."""

import sqlite3
from datetime import UTC, datetime, timedelta

DAYS = 14
"""Of which it is counted; less where glmd is new."""


def growth(connection: sqlite3.Connection, now: datetime) -> float | None:
    """Return how many bytes a day jobs take more, less than 0 where more was pruned; None where nothing is known."""
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
    return float(left - (pruned or 0)) / min(DAYS, max(1.0, age))
