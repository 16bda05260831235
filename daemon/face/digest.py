"""One night, told the morning after: what needs somebody, what each run came to, and what else was at work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from daemon.core.night_hours import NightHours
from daemon.core.promotions import says_no
from daemon.core.read_store import ReadStore
from daemon.core.results import Result
from daemon.core.states import ACTIVE, Job
from daemon.face.needs import Need, need_of_job, need_of_run
from daemon.face.nights import Mark, Run, night_of, noon_before, runs_since

_SOON = timedelta(days=7)
"""Within which what failed is mostly made up for."""


@dataclass(frozen=True)
class RunDetails:
    """A run of the night, and what there is to say of it."""

    run: Run
    label: str
    """Of its job; empty where there is none."""
    started: datetime | None
    """When its job first came to work; None where it did not."""
    seconds: float | None
    """That its steps ran; of one that is not over since it came to work. None where it did not, or nobody knows."""
    before: tuple[Job, Result] | None
    """The run of its cycle before it that has a final loss."""

    @property
    def change(self) -> float | None:
        """By how much its final loss is above that of the run before."""
        result = self.run.result
        if result is None or result.final_loss is None or self.before is None or self.before[1].final_loss is None:
            return None
        return result.final_loss - self.before[1].final_loss

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "cycle": self.run.cycle,
            "label": self.label,
            **self.run.as_json(),
            "started": None if self.started is None else self.started.isoformat(),
            "seconds": self.seconds,
            "loss_change": self.change,
            "compared_to": None if self.before is None or self.change is None else self.before[0].id,
        }


@dataclass(frozen=True)
class OtherJob:
    """A job that was waiting or at work in the night, and is no run of a cycle."""

    job: Job
    result: Result | None

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        job = self.job
        return {
            "job": job.id,
            "label": job.label,
            "state": job.state,
            "reason": job.reason,
            "code": job.code,
            "submitted": job.submitted.isoformat(),
            "changed": job.changed.isoformat(),
            **(self.result or Result()).as_json(),
        }


@dataclass(frozen=True)
class Digest:
    """A night."""

    night: date
    """Its morning."""
    evening: datetime
    morning: datetime
    needs: tuple[Need, ...]
    runs: tuple[RunDetails, ...]
    others: tuple[OtherJob, ...]

    def totals(self) -> dict[Mark, int]:
        """Return how many runs came to what, of what any came to."""
        marks = [details.run.mark for details in self.runs]
        return {mark: marks.count(mark) for mark in Mark if mark in marks}

    def as_json(self) -> Iterator[tuple[str, object]]:
        """Yield the documented keys."""
        yield "night", self.night.isoformat()
        yield "from", self.evening.isoformat()
        yield "to", self.morning.isoformat()
        yield "needs", [need.as_json() for need in self.needs]
        yield "runs", [details.as_json() for details in self.runs]
        yield "others", [other.as_json() for other in self.others]
        yield "totals", self.totals()


def last_begun(store: ReadStore, hours: NightHours, now: datetime) -> date:
    """Return the morning of the last night that has begun: at its hour, or with a run that was due before it."""
    begun, coming = hours.newest(now), night_of(now)
    return max(begun, coming) if runs_since(store, noon_before(coming)) else begun


def digest(store: ReadStore, night: date, hours: NightHours, now: datetime) -> Digest:
    """Tell of the night to the morning of `night`, which has begun."""
    evening, morning = hours.of(night)
    runs = runs_since(store, noon_before(night), noon_before(night + timedelta(days=1)))
    others = store.other_jobs(evening, morning)
    stuck = {job.id: job for job in store.stuck()}
    of_night = [run for of_cycle in runs.values() for run in of_cycle]
    of_night.sort(key=lambda run: (run.due, run.cycle))
    jobs = [*(run.job for run in of_night if run.job is not None), *others]
    if night == last_begun(store, hours, now):  # what holds devices today is of today, whenever it began
        jobs += [stuck[number] for number in stuck.keys() - {job.id for job in jobs}]
    needs = [need_of_job(job, is_stuck=True) for job in jobs if job.id in stuck]
    needs += _needs_of_runs(store, night, [run for run in of_night if run.job is None or run.job.id not in stuck])
    needs += _needs_of_others(store, [job for job in others if job.id not in stuck])
    results = store.results([job.id for job in others])
    return Digest(
        night=night,
        evening=evening,
        morning=morning,
        needs=tuple(need for need in needs if need is not None),
        runs=tuple(_details(store, run, now) for run in of_night),
        others=tuple(OtherJob(job, results.get(job.id)) for job in others),
    )


def _needs_of_runs(store: ReadStore, night: date, runs: Sequence[Run]) -> list[Need | None]:
    """Return what the runs of a night need that nothing has made up for since.

    Of a night long ago thousands of runs are later: they are read only where none of the first makes up for it.
    """
    needs = [need_of_run(run, ()) for run in runs]
    for until in (noon_before(night + _SOON), None):
        if not any(needs):
            break
        later = runs_since(store, noon_before(night), until)
        needs = [need and need_of_run(run, later.get(run.cycle, ())) for run, need in zip(runs, needs, strict=True)]
    return needs


def _needs_of_others(store: ReadStore, jobs: Sequence[Job]) -> list[Need | None]:
    """Return what jobs need that are no runs, and that no later job of the same name has made up for."""
    needs = {job: need for job in jobs if (need := need_of_job(job, is_kept_back=_is_kept_back(store, job)))}
    newest = store.newest_by_name({job.name for job in needs})
    made_up = {job.name: job.id for job in newest if not need_of_job(job, is_kept_back=_is_kept_back(store, job))}
    return [need for job, need in needs.items() if made_up.get(job.name, 0) <= job.id]


def _is_kept_back(store: ReadStore, job: Job) -> bool:
    return says_no(job.code) and store.promoted_among([job]).get(job.id) is False


def _details(store: ReadStore, run: Run, now: datetime) -> RunDetails:
    job = run.job
    if job is None:
        return RunDetails(run, "", None, None, None)
    history = store.history(job.id)
    started = next((step.at for step in history if step.state in ACTIVE), None)
    seconds = run.result.seconds if run.result is not None else None
    if seconds is None and started is not None:
        seconds = max(0.0, ((job.changed if job.state.is_over else now) - started).total_seconds())
    return RunDetails(run, job.label, started, seconds, store.run_before(job))
