"""A store in which nights went as a test wants them to have gone."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daemon.core.night_runs import NightRun, Outcome
from daemon.core.results import Result
from daemon.core.root import Root
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from handlers.run_names import run_name

DONE = (State.PREPARING, State.TRAINING, State.MERGING, State.DONE)
FAILED = (State.PREPARING, State.TRAINING, State.FAILED)
TRAINING = (State.PREPARING, State.TRAINING)
TOOK = timedelta(hours=4)


def utc(text: str) -> datetime:
    """Return a moment in UTC, as `2026-11-28 02:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Diary:
    """Writes what was."""

    def __init__(self, root: Path) -> None:
        self.root = Root(root)
        self.root.create()
        Store.open(self.root.store).close()

    def sql(self, statement: str, *values: object) -> None:
        """Change the store by hand."""
        with closing(sqlite3.connect(self.root.store)) as connection, connection:
            connection.execute(statement, values)

    def job(
        self,
        name: str,
        began: datetime,
        *ways: State,
        reason: str = "",
        code: str = "",
        took: timedelta = TOOK,
        source: Source = Source.DROP,
        loss: float | None = None,
        devices: tuple[int, ...] = (0,),
    ) -> Job:
        """Let a job have been submitted then, and have gone these ways."""
        with Store.open(self.root.store) as store:
            new = NewJob(f"{name} {began} {store.highest()}", name, devices=devices, prefix="glm-6b", source=source)
            first, *others = (State.REJECTED,) if ways == (State.REJECTED,) else (State.QUEUED, *ways)
            job = store.add(new, first, *(() if others else (reason, code)))
            for state in others:
                told = (reason, code) if state is others[-1] else ()
                job = store.move(job, state, *told)
            if loss is not None:
                store.keep_result(job, Result(loss, loss / 2, took.total_seconds(), 13 << 30))
        ended = began + took if ways else began
        self.sql(
            "UPDATE jobs SET submitted = ?, changed = ? WHERE id = ?", began.isoformat(), ended.isoformat(), job.id
        )
        self.sql("UPDATE transitions SET at = ? WHERE job = ?", began.isoformat(), job.id)
        for state, at in ((State.MERGING, ended - took / 20), (job.state, ended)):
            self.sql("UPDATE transitions SET at = ? WHERE job = ? AND state = ?", at.isoformat(), job.id, state)
        with Store.open(self.root.store) as store:
            return store.job(job.id)

    def run(
        self,
        cycle: str,
        due: datetime,
        *ways: State,
        outcome: Outcome | None = Outcome.DROPPED,
        promoted: bool | None = None,
        **of_job: object,
    ) -> Job:
        """Let a cycle have had a run; without an outcome as an older glmd kept it."""
        job = self.job(run_name(cycle, due), due, *ways, source=Source.NIGHT, **of_job)  # type: ignore[arg-type] # a test's
        if outcome is None:
            self.sql("DELETE FROM nightly_runs WHERE job = ?", job.id)
        else:
            self.note(cycle, due, outcome, job=job.id)
        if promoted:
            self.promote(job)
        return job

    def note(
        self, cycle: str, due: datetime, outcome: Outcome, reason: str = "", code: str = "", *, job: int | None = None
    ) -> None:
        """Let the daemon have noted what became of a due time."""
        with Store.open(self.root.store) as store:
            store.keep_night(NightRun(cycle, due, due, outcome, job, reason, code))

    def promote(self, job: Job, prefix: str = "glm-6b") -> None:
        """Let `latest` have been led to what a job has merged."""
        self.sql(
            "INSERT INTO promotions (prefix, kind, job, cycle, target, at, by, reason)"
            " VALUES (?, 'promotion', ?, ?, ?, ?, '', '')",
            *(prefix, job.id, job.cycle, f"jobs/{job.label}/merged", job.changed.isoformat()),
        )

    def count(self, cycle: str, last: datetime, cron: str = "0 2 * * *", timezone: str = "") -> None:
        """Let the daemon have a cycle in its settings."""
        with Store.open(self.root.store) as store:
            store.set_last_due(cycle, last, cron, timezone)
