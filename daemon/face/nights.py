"""The runs of nightly cycles: what became of each time that one was due, and how the cycles have fared.

A run belongs to the night between the noons before and after it was due, by this host's clock, and a night is called by
its morning. So each run has its night, also one that is due by day.

Of nights before the store kept what became of them, the runs' names tell when they were due.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property

from daemon.core.night_runs import Counted, NightRun, Outcome
from daemon.core.promotions import says_no
from daemon.core.read_store import ReadStore
from daemon.core.results import Result
from daemon.core.states import Job, State
from handlers.codes import Code

NOON = time(12)
_LATEST = timedelta(days=2)
"""So long before a run is due nobody has submitted it, whatever its clock did."""
_LONGEST_WAIT = timedelta(days=31)
"""So long after a run is due it has been submitted, or what the store keeps of that time names its job."""


class Mark(StrEnum):
    """What a run came to, in a word."""

    FAILED = "failed"
    """Its job failed, was cancelled or rejected; or nothing could be dropped."""
    NOT_PROMOTED = "not promoted"
    """Done, and its output did not become `latest`."""
    SKIPPED = "skipped"
    RUNNING = "running"
    """It waits, or is at work."""
    MISSED = "missed"
    """glmd did not run when it was due, and a later one stands for it."""
    LATE = "late"
    """Done, though it was missed when it was due."""
    DONE = "done"
    """And promoted, as far as that is known."""


@dataclass(frozen=True)
class Run:
    """A time at which a cycle was due, with all that is known of it."""

    cycle: str
    due: datetime
    outcome: Outcome | None
    """None where an older glmd dropped it."""
    job: Job | None
    reason: str
    """Why the job is where it is; without one, why there is none."""
    code: str
    result: Result | None = None
    is_promoted: bool | None = None
    """Whether `latest` was led to its output, and was not taken back; None where nobody knows, or it was not meant."""

    @cached_property
    def mark(self) -> Mark:
        """What it came to."""
        if self.job is None:
            return self._mark_without_job
        if not self.job.state.is_over:
            return Mark.RUNNING
        if self.job.state is not State.DONE:
            return Mark.FAILED
        if self.is_promoted is False:
            return Mark.NOT_PROMOTED
        return Mark.LATE if self.outcome is Outcome.CAUGHT_UP else Mark.DONE

    @property
    def _mark_without_job(self) -> Mark:
        match self.outcome:
            case Outcome.SKIPPED:
                return Mark.MISSED if self.code == Code.NIGHT_MISSED else Mark.SKIPPED
            case Outcome.FAILED:
                return Mark.FAILED
            case _:  # its file is not a job yet
                return Mark.RUNNING

    @property
    def is_kept_back(self) -> bool:
        """Whether it is done, and something was said against its output."""
        return self.mark is Mark.NOT_PROMOTED and says_no(self.code)

    @property
    def is_meant(self) -> bool:
        """Whether it was left out as the settings want it: its inputs have not changed."""
        return self.mark is Mark.SKIPPED and self.code == Code.NIGHT_UNCHANGED

    @property
    def is_good(self) -> bool | None:
        """Whether it is a success; None where it counts for nothing: not over, left out on purpose, the host down."""
        if self.mark in {Mark.RUNNING, Mark.MISSED} or self.is_meant:
            return None
        return self.mark in {Mark.DONE, Mark.LATE} or (self.mark is Mark.NOT_PROMOTED and not self.is_kept_back)

    @property
    def night(self) -> date:
        """The morning of its night."""
        return night_of(self.due)

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        job, result = self.job, self.result or Result()
        return {
            "due": self.due.isoformat(),
            "night": self.night.isoformat(),
            "mark": self.mark,
            "outcome": self.outcome,
            "job": None if job is None else job.id,
            "state": None if job is None else job.state,
            "reason": self.reason,
            "code": self.code,
            "promoted": self.is_promoted,
            "continues": None if job is None else job.continues,
            **result.as_json(),
        }


@dataclass(frozen=True)
class CycleNights:
    """How a cycle has fared."""

    cycle: str
    next_due: datetime | None
    """In UTC; None where the daemon's settings no longer have it, or nothing can be counted."""
    streak: int
    """Runs that were done one after the other, up to now."""
    runs: tuple[Run, ...]
    """Those that were asked for, in their order."""

    @property
    def success_rate(self) -> float | None:
        """How many of the runs that count were good, from 0 to 1; None where none counts."""
        counts = [run.is_good for run in self.runs if run.is_good is not None]
        return sum(counts) / len(counts) if counts else None

    @property
    def losses(self) -> list[float]:
        """The final losses of its runs, as far as they are known."""
        return [run.result.final_loss for run in self.runs if run.result and run.result.final_loss is not None]

    def marks(self) -> dict[date, Mark]:
        """Return the mark of each night: of several runs the one that says most."""
        order = list(Mark)
        found: dict[date, Mark] = {}
        for run in self.runs:
            found[run.night] = min(found.get(run.night, run.mark), run.mark, key=order.index)
        return found

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "cycle": self.cycle,
            "next_due": None if self.next_due is None else self.next_due.isoformat(),
            "success_rate": self.success_rate,
            "streak": self.streak,
            "runs": [run.as_json() for run in self.runs],
        }


def night_of(moment: datetime) -> date:
    """Return the morning of the night that `moment` belongs to."""
    local = moment.astimezone()
    return local.date() + timedelta(days=local.time() >= NOON)


def noon_before(night: date) -> datetime:
    """Return when the night to the morning of `night` begins. Raises OverflowError and ValueError at time's ends."""
    return datetime.combine(night - timedelta(days=1), NOON).astimezone()


def nights(store: ReadStore, since: date, now: datetime, last: date | None = None) -> Iterator[CycleNights]:
    """Yield how each cycle has fared since the night to the morning of `since`, and what is to come.

    With `last` no run is told of that is of a later night.
    """
    runs = runs_since(store, noon_before(since), None if last is None else noon_before(last + timedelta(days=1)))
    counted = {count.cycle: count for count in store.counted()}
    for cycle in store.cycles():
        mine = tuple(runs.get(cycle, ()))
        if mine or cycle in counted:
            spoilt = [run.due for run in mine if run.job is None and run.is_good is False]
            streak = store.streak(cycle, max(spoilt, default=None))
            yield CycleNights(cycle, _next_due(counted.get(cycle), now), streak, mine)


def runs_since(store: ReadStore, due: datetime, until: datetime | None = None) -> dict[str, list[Run]]:
    """Return the runs of all cycles that were due then or later, and before `until`, by cycle, each in their order."""
    kept = {(run.cycle, run.due): run for run in store.night_runs(due, until)}
    jobs: dict[tuple[str, datetime], Job] = {}
    for job in store.jobs_of_nights(due - _LATEST, None if until is None else until + _LONGEST_WAIT):
        if job.due >= due and (until is None or job.due < until):
            jobs[job.cycle, job.due] = job  # of two of one name the newer
    _add_named(store, kept.values(), jobs)
    results = store.results([job.id for job in jobs.values()])
    promoted = store.promoted_among(tuple(jobs.values()))
    found: defaultdict[str, list[Run]] = defaultdict(list)
    for key in sorted(kept.keys() | jobs.keys(), key=lambda pair: pair[1]):
        found[key[0]].append(_run(key, kept.get(key), jobs.get(key), results, promoted))
    return dict(found)


def _add_named(store: ReadStore, kept: Iterable[NightRun], jobs: dict[tuple[str, datetime], Job]) -> None:
    """Add the jobs that the store names for a due time and that were not found by their own."""
    for run in kept:
        if run.job is not None and (run.cycle, run.due) not in jobs and (job := store.readable(run.job)):
            jobs[run.cycle, run.due] = job


def _run(
    key: tuple[str, datetime],
    kept: NightRun | None,
    job: Job | None,
    results: dict[int, Result],
    promoted: dict[int, bool],
) -> Run:
    record: NightRun | Job | None = job or kept
    return Run(
        cycle=key[0],
        due=key[1].astimezone(UTC),
        outcome=None if kept is None else kept.outcome,
        job=job,
        reason="" if record is None else record.reason,
        code="" if record is None else record.code,
        result=None if job is None else results.get(job.id),
        is_promoted=None if job is None else promoted.get(job.id),
    )


def _next_due(counted: Counted | None, now: datetime) -> datetime | None:
    """Return the next time of a cycle, by the expression and the zone in which the daemon counted last."""
    if counted is None or not counted.cron:
        return None
    from daemon.core.crontab import parse  # noqa: PLC0415 - beside the next one
    from daemon.core.schedule import Schedule, zone_named  # noqa: PLC0415 - a tenth of a second, and not always wanted

    offset = counted.last.utcoffset()
    is_host = counted.last.astimezone().utcoffset() == offset
    try:
        zone = zone_named(counted.timezone) if counted.timezone else None if is_host else counted.last.tzinfo
        return Schedule(parse(counted.cron), zone).after(max(counted.last, now))
    except (ValueError, OverflowError):  # what no glmd has remembered
        return None


def columns(found: Sequence[CycleNights], since: date, now: datetime) -> list[date]:
    """Return the nights from `since` on, to the last one that has begun or is the next to come within a day."""
    dues = [cycle.next_due for cycle in found if cycle.next_due is not None]
    soon = [night_of(due) for due in dues if due - now < timedelta(days=1)]
    last = max([night_of(now), *soon])
    return [since + timedelta(days=day) for day in range((last - since).days + 1)]
