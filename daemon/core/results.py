"""What jobs came to, as the store keeps it: made of their records, once they are over."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import asdict, dataclass

from daemon.core.states import State

MEASURED = (State.DONE, State.FAILED, State.CANCELLED)
"""What is over and may have come to something: of a rejected file nothing was ever run."""


@dataclass(frozen=True)
class Result:
    """What a job came to. None: there is nothing to be known of it."""

    final_loss: float | None = None
    """Mean of the last steps that were recorded; None also where it is not finite."""
    best_loss: float | None = None
    """The lowest that is finite."""
    seconds: float | None = None
    """That its steps ran, all attempts together, as far as their shims told the end."""
    bytes: int | None = None
    """Of its merged output."""
    shards: int | None = None
    """Bytes of the shards that it had left when it was over."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return asdict(self)


def keep(connection: sqlite3.Connection, job: int, result: Result) -> None:
    """Keep what a job came to, in place of what was known of it before."""
    connection.execute(
        "INSERT OR REPLACE INTO results (job, final_loss, best_loss, seconds, bytes, shards) VALUES (?, ?, ?, ?, ?, ?)",
        (job, result.final_loss, result.best_loss, result.seconds, result.bytes, result.shards),
    )


def forget(connection: sqlite3.Connection, job: int) -> None:
    """Forget what a job came to, which goes on."""
    connection.execute("DELETE FROM results WHERE job = ?", (job,))


def of_jobs(connection: sqlite3.Connection, jobs: Collection[int]) -> dict[int, Result]:
    """Return what is known of these jobs, by number."""
    asked = (
        "SELECT job, final_loss, best_loss, seconds, bytes, shards FROM results"
        " WHERE job IN (SELECT value FROM json_each(?))"  # as many as there are: SQLite bounds the variables
    )
    return {job: Result(*known) for job, *known in connection.execute(asked, (json.dumps(list(jobs)),))}


def losses_before(connection: sqlite3.Connection, jobs: Collection[int]) -> dict[int, tuple[int, float]]:
    """Return of each of these runs of cycles with a final loss the newest one before that has one, and that loss."""
    asked = """
        SELECT jobs.id, before.job, before.final_loss FROM jobs
        JOIN results AS own ON own.job = jobs.id AND own.final_loss IS NOT NULL
        JOIN results AS before ON before.job = (
            SELECT earlier.id FROM jobs AS earlier JOIN results AS known ON known.job = earlier.id
            WHERE earlier.cycle = jobs.cycle AND earlier.id < jobs.id AND known.final_loss IS NOT NULL
            ORDER BY earlier.id DESC LIMIT 1)
        WHERE jobs.cycle != '' AND jobs.id IN (SELECT value FROM json_each(?))"""
    return {job: (before, loss) for job, before, loss in connection.execute(asked, (json.dumps(list(jobs)),))}


def of_cycle(connection: sqlite3.Connection, cycle: str, most: int) -> list[Result]:
    """Return what the newest runs of a cycle came to that are done and of which it is known what they took."""
    asked = (
        "SELECT final_loss, best_loss, seconds, bytes, shards FROM results JOIN jobs ON job = id"
        " WHERE cycle = ? AND state = ? AND bytes IS NOT NULL AND shards IS NOT NULL ORDER BY job DESC LIMIT ?"
    )
    return [Result(*known) for known in connection.execute(asked, (cycle, State.DONE, most))]


def unmeasured(connection: sqlite3.Connection, besides: Collection[int]) -> int | None:
    """Return the newest job that is over and of which nothing is kept, but for some; None where there is none."""
    over, others = ",".join("?" * len(MEASURED)), ",".join("?" * len(besides))
    row = connection.execute(
        f"SELECT id FROM jobs WHERE state IN ({over}) AND id NOT IN ({others})"  # noqa: S608 - all ours
        " AND NOT EXISTS (SELECT 1 FROM results WHERE job = id) ORDER BY id DESC LIMIT 1",
        (*MEASURED, *besides),
    ).fetchone()
    return None if row is None else int(row[0])


def final_losses(connection: sqlite3.Connection) -> dict[int, float | None]:
    """Return the final loss of each job that was measured; None where it has none."""
    return dict(connection.execute("SELECT job, final_loss FROM results"))
