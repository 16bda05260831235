"""The store for anyone who only reads it: jobs, and what became of nights, results and promotions."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from daemon.core import counts, happened, night_runs, notices, promotions, prunings, results
from daemon.core.counts import Line, NightCount
from daemon.core.growth import growth
from daemon.core.happened import History, Place, Step
from daemon.core.night_runs import Counted, NightRun
from daemon.core.notices import Notice
from daemon.core.promotions import Promotion, Standing
from daemon.core.prunings import Pruning
from daemon.core.read_jobs import JobReads
from daemon.core.results import Result
from daemon.core.states import MAY_HOLD_DEVICES, OVER, Job, State

_FIRST, _LAST = 1971, 9000
"""Years; with a zone's offset and some weeks more, time is told of them as well."""


class ReadStore(JobReads):
    """The store, opened to be read: it has no way to change it. The daemon alone has daemon.core.store.Store."""

    def results(self, jobs: Collection[int]) -> dict[int, Result]:
        """Return what these jobs came to, by number: those of which it is known."""
        return results.of_jobs(self._connection, jobs)

    def losses_before(self, jobs: Collection[int]) -> dict[int, tuple[int, float]]:
        """Return of each of these runs of cycles with a final loss the newest one before that has one, and that."""
        return results.losses_before(self._connection, jobs)

    def final_losses(self) -> dict[int, float | None]:
        """Return the final loss of each job that was measured; None where it has none."""
        return results.final_losses(self._connection)

    def last_due(self, cycle: str) -> datetime | None:
        """Return the time for which nightly `cycle` was last dropped. Raises ValueError where the row has none."""
        row = self._connection.execute("SELECT due FROM nightly WHERE name = ?", (cycle,)).fetchone()
        if row is None:
            return None
        due = datetime.fromisoformat(row[0])
        if due.tzinfo is None or not _FIRST <= due.year <= _LAST:
            raise ValueError(f"{row[0]:.100} is no time that a cycle was dropped for")
        return due

    def cron_of(self, cycle: str) -> str:
        """Return the cron expression by which nightly `cycle` was last counted; empty where it was not remembered."""
        row = self._connection.execute("SELECT cron FROM nightly WHERE name = ?", (cycle,)).fetchone()
        return str(row[0]) if row else ""

    def newest_done(self, cycle: str) -> Job | None:
        """Return the newest run of nightly `cycle` that came to its end as it should."""
        where = "cycle = ? AND state = ?"
        return next(iter(self._readable(self._cursor(where, cycle, State.DONE, order="id DESC LIMIT 1"))), None)

    def runs_of(self, cycle: str, due: datetime) -> tuple[Job, ...]:
        """Return the runs of nightly `cycle` that are for the time `due` or a later one, the newest first."""
        rows = self._cursor("cycle = ?", cycle, order="id DESC LIMIT 100")
        return tuple(job for job in self._readable(rows) if job.due >= due)

    def results_of(self, cycle: str, most: int) -> list[Result]:
        """Return what the newest runs of nightly `cycle` came to that are done; see daemon.core.results."""
        return results.of_cycle(self._connection, cycle, most)

    def growth(self, now: datetime) -> float | None:
        """Return how many bytes a day jobs take more of the disk; see daemon.core.growth."""
        return growth(self._connection, now)

    def notices(self, *, also_passed: bool = False) -> tuple[Notice, ...]:
        """Return what somebody should know now, or all that there ever was of it, oldest first."""
        return tuple(notices.select(self._connection, also_passed=also_passed))

    def lasting_notices(self) -> frozenset[int]:
        """Return the numbers of the notices that last."""
        return notices.lasting(self._connection)

    # What has happened, for a reader who goes on where it was

    def newest(self, history: History) -> Place:
        """Return up to where it goes."""
        return happened.newest(self._connection, history)

    def is_there(self, history: History, place: Place) -> bool:
        """Say whether `place` is one of this store's, and not of the one that it was before it was restored."""
        return happened.is_there(self._connection, history, place)

    def last_before(self, history: History, at: str) -> Place:
        """Return the place behind which everything later than `at` comes."""
        return happened.last_before(self._connection, history, at)

    def steps_after(self, place: Place, most: int) -> list[tuple[Place, Step | None]]:
        """Return the transitions behind `place`, of which None says nothing."""
        return list(happened.steps_after(self._connection, place.number, most))

    def notices_after(self, place: Place, most: int) -> list[tuple[Place, Notice | None]]:
        """Return the notices behind `place`, of which None says nothing."""
        return list(notices.after(self._connection, place.number, most))

    def lines(self, after: Place, last: Place) -> Iterator[Line]:
        """Yield the transitions behind `after`, up to `last`, as they stand in the store."""
        return counts.lines(self._connection, after.number, last.number)

    # How much there is; see daemon.core.counts

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        return counts.by_state(self._connection)

    def oldest_waiting(self) -> datetime | None:
        """Return when the oldest job was submitted that waits."""
        return counts.oldest_waiting(self._connection)

    def merged_bytes(self) -> int:
        """Return the bytes of the merged outputs of all jobs that are done."""
        return counts.merged_bytes(self._connection)

    def promotion_counts(self) -> dict[str, int]:
        """Return how many changes of each kind there were of what any `latest/PREFIX` leads to."""
        return counts.promotions(self._connection)

    def pruned(self) -> dict[str, tuple[int, int]]:
        """Return of each part how often one was removed, and how many bytes that freed."""
        return counts.pruned(self._connection)

    def night_counts(self) -> tuple[NightCount, ...]:
        """Return what became of the due times of all cycles."""
        return tuple(counts.nights(self._connection))

    def held_up(self) -> tuple[Job, ...]:
        """Return the waiting jobs that something prevents: all but its devices, which others hold by right."""
        return self._select("state = ? AND code != ''", State.QUEUED)

    def stuck(self) -> tuple[Job, ...]:
        """Return the jobs that hold devices in a state that holds none: something of them cannot be ended."""
        holders = self._select("id IN (SELECT job FROM device_locks)")
        return tuple(job for job in holders if job.state not in MAY_HOLD_DEVICES)

    def night(self, cycle: str, due: datetime) -> NightRun | None:
        """Return what became of a time at which nightly `cycle` was due; None where nothing is known of it."""
        return night_runs.of_cycle(self._connection, cycle, due)

    def promotions(self, prefix: str | None = None) -> tuple[Promotion, ...]:
        """Return what `latest/PREFIX` has led to, of one prefix or of all, oldest first."""
        return promotions.history(self._connection, prefix)

    def promoted_prefixes(self) -> frozenset[str]:
        """Return the prefixes of which `latest/PREFIX` has ever led somewhere."""
        return promotions.prefixes(self._connection)

    def standing(self, prefix: str) -> Standing:
        """Return where `latest/PREFIX` is to lead, and where it was before."""
        return promotions.standing(self._connection, prefix)

    def is_promoted(self, job: Job) -> bool:
        """Say whether the output of `job` was ever promoted."""
        return promotions.is_promoted(self._connection, job)

    def promotions_of_jobs(self, jobs: Collection[int]) -> tuple[Promotion, ...]:
        """Return what of these jobs was promoted and not taken back, oldest first."""
        return promotions.of_jobs(self._connection, jobs)

    def promoted(self, prefix: str) -> tuple[Promotion, ...]:
        """Return what was promoted of `prefix` and not taken back, the newest first."""
        return promotions.not_undone(self._connection, prefix)

    def rivals(self, prefix: str) -> tuple[Promotion, ...]:
        """Return those of what was ever promoted of `prefix` of which one is the newest training."""
        return promotions.rivals(self._connection, prefix)

    def bases_of(self, cycle: str, root: Path) -> dict[str, Path]:
        """Return where that lies which nightly `cycle` has promoted last and nobody took back, by prefix."""
        return {one.prefix: root / one.target for one in promotions.of_cycle(self._connection, cycle)}

    def bases(self) -> tuple[Promotion, ...]:
        """Return what the cycles of now have promoted last and nobody took back: of each prefix one of a cycle."""
        cycles = {name for (name,) in self._connection.execute("SELECT name FROM nightly")}
        return tuple(one for one in promotions.of_cycles(self._connection) if one.cycle in cycles)

    def continuing(self, jobs: Collection[int]) -> tuple[Job, ...]:
        """Return the jobs that are not over and go on from the outputs of one of `jobs`."""
        found = self.jobs(set(State) - OVER)
        return tuple(job for job in found if job.continues in jobs and job.continues is not None)

    def pinned(self) -> frozenset[int]:
        """Return the jobs from whose outputs jobs that are not over go on."""
        found = self.jobs(set(State) - OVER)
        return frozenset(job.continues for job in found if job.continues is not None)

    def newest_promotion(self) -> int:
        """Return the number of the newest change of what any `latest/PREFIX` leads to; 0 where there is none."""
        return promotions.newest(self._connection)

    def prunings_of(self, job: Job) -> tuple[Pruning, ...]:
        """Return what was removed of a job since it was over, or is being removed, oldest first."""
        return tuple(one for one in prunings.of_job(self._connection, job.id) if one.begun >= job.changed)

    def unended_prunings(self) -> tuple[Pruning, ...]:
        """Return the removals that have begun, oldest first."""
        return prunings.unended(self._connection)

    def first_prunable(self) -> int:
        """Return from which job on glmd prunes by itself."""
        return prunings.first_job(self._connection)

    def night_runs(self, due: datetime, until: datetime | None = None) -> tuple[NightRun, ...]:
        """Return what became of all times from `due` on, and before `until`, at which a cycle was due, in order."""
        return tuple(night_runs.since(self._connection, due, until))

    def jobs_of_nights(self, since: datetime, until: datetime | None = None) -> tuple[Job, ...]:
        """Return the jobs that are runs of cycles and were submitted since then, and before `until`, oldest first."""
        times = since, until or datetime.max.replace(tzinfo=UTC)
        where = "cycle != '' AND submitted >= ? AND submitted < ?"
        return self._select(where, *(moment.astimezone(UTC).isoformat() for moment in times))

    def other_jobs(self, since: datetime, until: datetime) -> tuple[Job, ...]:
        """Return the jobs that are no runs of cycles and were waiting or at work at some time between, oldest first."""
        over = tuple(OVER)
        return self._select(
            f"cycle = '' AND submitted < ? AND (changed >= ? OR state NOT IN ({','.join('?' * len(over))}))",
            *(until.astimezone(UTC).isoformat(), since.astimezone(UTC).isoformat(), *over),
        )

    def cycles(self) -> list[str]:
        """Return the names of all cycles of which anything is known."""
        return night_runs.cycles(self._connection)

    def counted(self) -> tuple[Counted, ...]:
        """Return how the cycles are counted that are in the daemon's settings."""
        return tuple(night_runs.counted(self._connection))

    def streak(self, cycle: str, spoilt: datetime | None) -> int:
        """Return how many runs of a cycle were done one after the other; see daemon.core.night_runs."""
        return night_runs.streak(self._connection, cycle, spoilt)

    def run_before(self, job: Job) -> tuple[Job, Result] | None:
        """Return the newest run before `job` of its cycle whose final loss is known, and what it came to."""
        known = "EXISTS (SELECT 1 FROM results WHERE job = jobs.id AND final_loss IS NOT NULL)"
        where = f"cycle = ? AND id < ? AND {known}"
        for before in self._readable_jobs(self._cursor(where, job.cycle, job.id, order="id DESC LIMIT 1")):
            return before, self.results([before.id])[before.id]
        return None

    def promoted_among(self, jobs: Collection[Job]) -> dict[int, bool]:
        """Return of jobs that are done whether `latest` was led to them, and that was not taken back.

        Left out are those of which nobody knows, and those that were not meant to: nothing was said against them.
        """
        done = [job for job in jobs if job.state is State.DONE]
        marks = ",".join("?" * len(done))
        asked = f"SELECT job, MAX(undone IS NULL) FROM promotions WHERE job IN ({marks}) GROUP BY job"  # noqa: S608 - all ours
        promoted = {job: bool(stands) for job, stands in self._connection.execute(asked, [job.id for job in done])}
        return {job.id: False for job in done if job.code} | promoted
