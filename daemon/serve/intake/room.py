"""Room for tonight: hours before a night it is looked whether the disk has what its jobs will need.

Where it has not, room is made within the rules of retention; where that is not enough, somebody is told in time. The
jobs come anyway, and wait for room (daemon.serve.jobs.preflight).
"""

import shutil
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from daemon.core.checking import rules
from daemon.core.forecast import RUNS, Forecast, ToCome, learned, need
from daemon.core.nights import recipe_of, schedule_of
from daemon.core.notices import NoticeKind
from daemon.core.root import Root
from daemon.core.schedule import Schedule
from daemon.core.setting_sections import NightlySettings
from daemon.core.settings import Settings
from daemon.core.states import ACTIVE, State
from daemon.core.store import Store
from daemon.serve.intake.source import Moment
from handlers.errors import HandlerError
from handlers.nightly import filled_in
from handlers.shards.names import size_of_shards
from handlers.validate.check import estimated

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BEFORE = timedelta(hours=8)
"""How long before a night it is looked first."""
EVERY = 600.0
"""Seconds between two looks."""
SOON = 3.0
"""Seconds after room was asked for, and while it is being made, until it is looked again."""
PATIENCE = 60.0
"""Seconds that making room may take until somebody is told: a few files are removed at once, and a disk may hang."""


@dataclass(frozen=True)
class Look:
    """What a worker has seen."""

    free: int
    """Bytes."""
    estimates: Mapping[str, int | None]
    """What the check says that a cycle's next run needs."""
    taken: Mapping[int, int]
    """Bytes that jobs at work have written."""


@dataclass(frozen=True)
class Next:
    """The next run of a cycle, of which the check may know what it needs."""

    settings: NightlySettings
    due: datetime
    """As its zone's clocks show it."""
    own: Mapping[str, Path]
    """What the cycle has promoted last, by prefix."""


Submit = Callable[[Hashable, Callable[[], Look], Callable[[Future[Look]], None]], None]
"""Has work done apart, once at a time by its key, and hands over what came of it."""


def nothing() -> None:
    """Make no room."""


class Room:
    """Looks ahead. `make_room` begins to remove what the rules of retention let go; it does not wait for that."""

    name = "room"

    def __init__(
        self, settings: Settings, root: Root, store: Store, submit: Submit, make_room: Callable[[], None] = nothing
    ) -> None:
        self._settings = settings
        self._root = root
        self._store = store
        self._submit = submit
        self._make_room = make_room
        self._schedules = {one.name: schedule_of(one) for one in settings.nightly}
        self._window: frozenset[ToCome] | None = None
        """The nights that were near at the last look."""
        self._due = 0.0
        """When to look again, on the monotonic clock."""
        self._asked: float | None = None
        """When room was asked for, on the monotonic clock, and nobody has been told since."""
        self._is_looking = False

    def turn(self, now: Moment) -> None:
        """Look, if that is due or another night has come near."""
        if self._is_looking:
            return
        window = _near(self._schedules, now.wall)
        if now.monotonic < self._due and window == self._window:
            return
        self._window, self._due = window, now.monotonic + EVERY
        if coming := self._coming(window, now.wall):
            self._is_looking = True
            # Of its own: after a reload, what another one looks at must not keep this one from looking.
            self._submit((self.name, id(self)), self._work(now.wall), partial(self._looked, coming, now))
        else:
            self._is_enough(now)

    def next_due(self, now: Moment) -> float | None:
        """Return when to look again, or when the next night comes near; see WorkSource."""
        if self._is_looking:
            return None
        near = (schedule.after(now.wall + BEFORE) - BEFORE - now.wall for schedule in self._schedules.values())
        return max(0.0, min([self._due - now.monotonic, *(time_left.total_seconds() for time_left in near)]))

    def _coming(self, window: Iterable[ToCome], now: datetime) -> tuple[ToCome, ...]:
        """Return the runs that will take room, of each cycle the first: while that is not over, no other begins."""
        queued = self._store.jobs({State.QUEUED})
        waiting = [ToCome(job.cycle, job.due) for job in queued if job.cycle in self._schedules]
        found: dict[str, ToCome] = {}
        for run in (*waiting, *self._not_begun(now), *window):
            found.setdefault(run.cycle, run)
        return tuple(found.values())

    def _not_begun(self, now: datetime) -> Iterable[ToCome]:
        """Yield the runs whose time has come, and that are no jobs yet."""
        for counted in self._store.counted():
            if (schedule := self._schedules.get(counted.cycle)) is None:
                continue
            due = schedule.newest(max(counted.since, now - BEFORE), now)
            night = None if due is None else self._store.night(counted.cycle, due)
            if due is not None and (night is None or (night.job is None and night.outcome.is_to_come)):
                yield ToCome(counted.cycle, due)

    def _work(self, now: datetime) -> Callable[[], Look]:
        active = {job.id: job.directory(self._root.path).output for job in self._store.jobs(ACTIVE) if job.cycle}
        nights = [
            Next(one, schedule.local(schedule.after(now)), self._store.bases_of(one.name, self._root.path))
            for one, schedule in zip(self._settings.nightly, self._schedules.values(), strict=True)
        ]
        return partial(look, self._settings, self._root, nights, active)

    def _looked(self, coming: Sequence[ToCome], now: Moment, looked: Future[Look]) -> None:
        self._is_looking = False
        try:
            seen = looked.result()
        except (HandlerError, OSError) as error:
            log.warning("room_not_seen", reason=str(error))
            return
        found = self._forecast(coming, seen)
        if not found.needs:  # nobody knows: what was said stays said
            return
        if found.is_enough:
            self._is_enough(now)
        elif self._asked is None:
            self._make_room()
            self._asked, self._due = now.monotonic, now.monotonic + SOON
        elif self._store.unended_prunings() and now.monotonic < self._asked + PATIENCE:
            self._due = now.monotonic + SOON
        else:
            self._asked = None
            notice = found.notice(self._root.jobs, now.wall)
            if self._store.add_notice(notice):
                log.warning("disk_low", needed=found.needed, free=found.free, reason=notice.text)

    def _is_enough(self, now: Moment) -> None:
        self._asked = None
        self._store.pass_notices(NoticeKind.DISK_LOW, now.wall)

    def _forecast(self, coming: Iterable[ToCome], seen: Look) -> Forecast:
        needs = {run: self._need(run.cycle, seen) for run in coming}
        active = [(job, self._need(job.cycle, seen)) for job in self._store.jobs(ACTIVE) if job.id in seen.taken]
        rest = (max(0, wanted - seen.taken[job.id]) for job, wanted in active if wanted is not None)
        return Forecast({run: wanted for run, wanted in needs.items() if wanted is not None}, sum(rest), seen.free)

    def _need(self, cycle: str, seen: Look) -> int | None:
        return need(learned(self._store.results_of(cycle, RUNS)), seen.estimates.get(cycle))


def _near(schedules: Mapping[str, Schedule], now: datetime) -> frozenset[ToCome]:
    """Return the next run of each cycle that comes soon."""
    dues = (ToCome(cycle, schedule.after(now)) for cycle, schedule in schedules.items())
    return frozenset(run for run in dues if run.due <= now + BEFORE)


def look(settings: Settings, root: Root, nights: Iterable[Next], active: Mapping[int, Path]) -> Look:
    """Look at the disk and at what will be on it; in a process apart. `active` is where jobs write. Raises OSError."""
    free = shutil.disk_usage(root.jobs).free
    estimates = {night.settings.name: _estimate(night, settings, root) for night in nights}
    return Look(free, estimates, {job: size_of_shards(output) for job, output in active.items()})


def _estimate(night: Next, settings: Settings, root: Root) -> int | None:
    """Return what the check of a cycle's YAML would want; None where nobody knows, as without its template."""
    try:
        of_now = replace(rules(settings, root), own=night.own, disk=None)
        filled = filled_in(recipe_of(night.settings, of_now.allowed), night.due)
        return estimated(filled.content, str(night.settings.template), of_now)
    except (HandlerError, OSError):  # the night itself will tell of it
        return None
