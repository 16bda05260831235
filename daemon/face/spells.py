"""Which job had which devices when, as far as the states of jobs tell."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.core.read_jobs import Transition
from daemon.core.read_store import ReadStore
from daemon.core.states import HOLDING_DEVICES, Job

MOST_JOBS = 500
"""Of a night or a day that are looked at: the newest."""


@dataclass(frozen=True)
class Spell:
    """A time without a break in which a job had its devices."""

    job: Job
    began: datetime
    ended: datetime
    """Of one that goes on, until when was asked for."""

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max(0.0, (self.ended - self.began).total_seconds())

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "job": self.job.id,
            "name": self.job.name,
            "state": self.job.state,
            "began": self.began.isoformat(),
            "ended": self.ended.isoformat(),
        }


@dataclass(frozen=True)
class Stretch:
    """A time in which a job was in one state."""

    step: Transition
    until: datetime


def spells(store: ReadStore, since: datetime, until: datetime) -> list[Spell]:
    """Return who had devices between, cut to that time, the newest job first.

    An evaluation's are left out: it has those that it could get, and nobody keeps which those were.
    """
    jobs = store.on_devices(since, until, MOST_JOBS)
    histories = store.histories([job.id for job in jobs])
    return [spell for job in jobs for spell in _spells(job, histories.get(job.id, ()), since, until)]


def used(found: Iterable[Spell], devices: int, since: datetime, until: datetime) -> float | None:
    """Return which part of the devices' time between was used, from 0 to 1; None where there was none."""
    whole = devices * (until - since).total_seconds()
    return sum(spell.seconds * len(spell.job.devices) for spell in found) / whole if whole > 0 else None


def stretches(history: Sequence[Transition], now: datetime) -> Iterator[Stretch]:
    """Yield from when to when a job was in each state; the last one lasts until now."""
    for place, step in enumerate(history):
        yield Stretch(step, history[place + 1].at if place + 1 < len(history) else now)


def _spells(job: Job, history: Sequence[Transition], since: datetime, until: datetime) -> Iterator[Spell]:
    joined: Spell | None = None
    for stretch in stretches(history, until):
        if stretch.step.state not in HOLDING_DEVICES:
            continue
        began, ended = max(since, stretch.step.at), min(until, stretch.until)
        if ended <= began:
            continue
        if joined is not None and joined.ended == began:  # it went on from preparing to training
            joined = Spell(job, joined.began, ended)
            continue
        if joined is not None:
            yield joined
        joined = Spell(job, began, ended)
    if joined is not None:
        yield joined
