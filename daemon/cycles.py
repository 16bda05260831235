"""Nightly cycles: when the clock says so, a cycle's YAML is dropped into the inbox, as a user would do it.

APScheduler's cron trigger computes the times; the daemon's loop asks on every turn which are due, comparing with the
last one kept in the store. So there is no grace time in which a run can be lost: a run missed while the host was down
is caught up, once, whatever the number of runs missed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import structlog
from apscheduler.triggers.cron import CronTrigger

from daemon.settings import NightlySettings, SettingsError
from daemon.store import Store
from handlers.errors import HandlerError
from handlers.nightly import drop, run_name

log: structlog.stdlib.BoundLogger = structlog.get_logger()

AGAIN = timedelta(minutes=5)
"""When to try a drop again that failed (template missing, disk full)."""


class Cycle:
    """One entry of `nightly:` in the settings. Raises SettingsError when its cron time or zone makes no sense."""

    def __init__(self, settings: NightlySettings) -> None:
        self.settings = settings
        self.not_before: datetime | None = None
        try:
            self._trigger = CronTrigger.from_crontab(settings.cron, timezone=settings.timezone)
        except (ValueError, ZoneInfoNotFoundError) as error:
            raise SettingsError(f"nightly {settings.name}: cron {settings.cron!r}: {error}") from error
        self._hourly = settings.cron.split()[1].startswith("*")

    def after(self, last: datetime) -> datetime | None:
        """Return the first time to run after `last`.

        When the clock is set back a wall-clock time comes twice; the second one is no run of its own, unless the cron
        time is for every hour. A time that is skipped when the clock is set forward is run at the same instant.
        """
        due = self._next(last)
        if due and not self._hourly and self._wall_clock(due) == self._wall_clock(last):
            due = self._next(due)
        return due

    def _next(self, last: datetime) -> datetime | None:
        # In UTC, since arithmetic on a zone's own times forgets which of two repeated hours it is in.
        due: datetime | None = self._trigger.get_next_fire_time(None, last.astimezone(UTC) + timedelta(seconds=1))
        return due and due.astimezone(UTC)

    def _wall_clock(self, time: datetime) -> datetime:
        return time.astimezone(self._trigger.timezone).replace(tzinfo=None)

    def newest_due(self, last: datetime, now: datetime) -> datetime | None:
        """Return the newest time to run after `last` that has come, or None."""
        # In growing windows back from now: a cycle of every minute must not cost half a million steps after a year.
        for window in (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366), now - last):
            newest, due = None, self.after(max(last, now - window))
            while due and due <= now:
                newest, due = due, self.after(due)
            if newest or now - window <= last:
                return newest
        return None


class Cycles:
    """All nightly cycles of a daemon."""

    def __init__(self, settings: Iterable[NightlySettings], store: Store, inbox: Path, claims: Path) -> None:
        self._cycles = tuple(Cycle(one) for one in settings)
        self._store = store
        self._inbox = inbox
        self._claims = claims

    def turn(self, now: datetime) -> None:
        """Drop what is due."""
        for cycle in self._cycles:
            # A pause that ends later than it can was counted from a clock that has been set back since.
            if cycle.not_before is None or not now < cycle.not_before <= now + AGAIN:
                cycle.not_before = None
                self._turn(cycle, now)

    def next_due(self, now: datetime) -> datetime | None:
        """Return when `turn` has something to do next."""
        times = (cycle.not_before or cycle.after(max(self._last(cycle, now), now)) for cycle in self._cycles)
        return min((time for time in times if time), default=None)

    def _last(self, cycle: Cycle, now: datetime) -> datetime:
        last = self._store.last_due(cycle.settings.name)
        if last is None or last > now + timedelta(days=1):  # new; or the clock was once far ahead
            self._store.set_last_due(cycle.settings.name, now)
            return now
        return last

    def _turn(self, cycle: Cycle, now: datetime) -> None:
        name, last = cycle.settings.name, self._last(cycle, now)
        due = cycle.newest_due(last, now)
        if due is None:
            return
        if self._is_unfinished(run_name(name, last)):
            log.warning("nightly_skipped", cycle=name, due=due.isoformat(), reason="the run before is not over")
        elif not self._was_dropped(run_name(name, due)):  # else a crash kept it from being remembered
            try:
                path = drop(
                    cycle.settings.template,
                    self._inbox,
                    name,
                    scheduled=due,
                    devices=cycle.settings.devices,
                    continue_from=cycle.settings.continue_from,
                )
            except (HandlerError, OSError) as error:
                cycle.not_before = now + AGAIN
                log.error("nightly_failed", cycle=name, due=due.isoformat(), reason=str(error))  # noqa: TRY400 - the text is the whole story
                return
            log.info("nightly_dropped", cycle=name, due=due.isoformat(), path=str(path))
        self._store.set_last_due(name, due)

    def _was_dropped(self, name: str) -> bool:
        return self._is_on_its_way(name) or self._store.newest_named(name) is not None

    def _is_unfinished(self, name: str) -> bool:
        job = self._store.newest_named(name)
        return self._is_on_its_way(name) or (job is not None and not job.state.is_over)

    def _is_on_its_way(self, name: str) -> bool:
        """Say whether a run was dropped and is not yet a job: it waits in the inbox, or is being checked."""
        file = f"{name}.yaml"
        return (self._inbox / file).exists() or any(self._claims.glob(f"*/{file}"))
