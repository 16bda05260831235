"""The moments at which a cron expression comes in a time zone; none is lost or doubled when the zone's clocks are set.

APScheduler's cron trigger finds the times of the wall clock, in UTC, where no clock is ever set. What moment shows such
a time is found here, from the offset that the zone has from moment to moment.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import partial
from zoneinfo import ZoneInfo, available_timezones

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from daemon.core.crontab import WEEKDAYS, Crontab

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def zone_named(name: str) -> ZoneInfo:
    """Return a zone of the tz database: the host's, else that of the package tzdata. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        close = get_close_matches(name.title(), available_timezones(), 1) or ["Asia/Shanghai"]
        raise ValueError(f"{name!r} is no zone of the tz database; write a name as {close[0]}") from error


class Schedule:
    """A cron expression in a time zone; without one, in the host's as the C library knows it (TZ, /etc/localtime).

    - An expression for every hour comes whenever the wall clock shows a time of it: as time really passes, also through
      an hour that is repeated.
    - Any other comes once for each of its times: at the first moment at which the wall clock has reached it. So a time
      that is skipped comes when the clock is set forward, and of two that are repeated the first counts.
    """

    def __init__(self, crontab: Crontab, zone: tzinfo | None) -> None:
        self._trigger = _trigger(crontab)
        self._zone = zone
        self._is_every_hour = crontab.is_every_hour

    def local(self, moment: datetime) -> datetime:
        """Return `moment` as the zone's clocks show it."""
        return moment.astimezone(self._zone)

    def after(self, last: datetime) -> datetime:
        """Return the first time to run after `last`, in UTC."""
        last = last.astimezone(UTC).replace(microsecond=0)
        return self._next_shown(last + SECOND) if self._is_every_hour else self._next_reached(last)

    def newest(self, last: datetime, now: datetime) -> datetime | None:
        """Return the newest time to run after `last` that has come, or None."""
        return next(iter(self.newest_of(last, now, 1)), None)

    def newest_of(self, last: datetime, now: datetime, most: int) -> tuple[datetime, ...]:
        """Return the newest times to run after `last` that have come, oldest first; `most` of them."""
        if self.after(last) > now:
            return ()
        found: deque[datetime] = deque(maxlen=most)
        # In growing windows back from now: a run every minute must not cost half a million steps after a year.
        for window in (timedelta(hours=1), DAY, 32 * DAY, 366 * DAY, now - last):
            found.clear()
            due = self.after(max(last, now - window))
            while due <= now:
                found.append(due)
                due = self.after(due)
            if len(found) == most or window >= now - last:
                break
        return tuple(found)

    def _next_shown(self, start: datetime) -> datetime:
        """Return the first moment from `start` on whose wall-clock time is one of the expression's."""
        while True:
            offset = self._offset(start)
            due = self._wall_time(start + offset) - offset
            change = self._change(start, due)
            if change is None:
                return due
            start = change

    def _next_reached(self, last: datetime) -> datetime:
        """Return the first moment after `last` at which the wall clock reaches one of the expression's times."""
        wall = last + self._offset(last)
        while (due := self._first_at(wall := self._wall_time(wall + SECOND))) <= last:
            pass  # in an hour that is repeated
        return due

    def _first_at(self, wall: datetime) -> datetime:
        """Return the first moment at which the wall clock shows `wall` or later."""
        start = wall - DAY  # no zone is a day from UTC
        while True:
            due = max(start, wall - self._offset(start))
            change = self._change(start, due)
            if change is None:
                return due
            start = change

    def _change(self, start: datetime, end: datetime) -> datetime | None:
        """Return the first moment after `start`, up to `end`, at which the zone's clocks are set, or None."""
        offset = self._offset(start)
        while start < end:
            step = min(DAY, end - start)  # no zone's clocks are set forth and back in a day
            if self._offset(start + step) != offset:
                seconds = range(int(step / SECOND))
                return start + bisect_left(
                    seconds, True, key=lambda second: self._offset(start + second * SECOND) != offset
                ) * SECOND  # fmt: skip
            start += step
        return None

    def _offset(self, moment: datetime) -> timedelta:
        return self.local(moment).replace(tzinfo=UTC) - moment

    def _wall_time(self, start: datetime) -> datetime:
        """Return the first of the expression's times of the wall clock from `start` on; both are told as if in UTC."""
        found: datetime = self._trigger.get_next_fire_time(None, start)
        return found


def _trigger(crontab: Crontab) -> BaseTrigger:
    of_days = partial(
        CronTrigger,
        minute=_expression(crontab.minutes, 60),
        hour=_expression(crontab.hours, 24),
        month=_expression(crontab.months, 12),
        timezone=UTC,
    )
    days = _expression(crontab.days, 31)
    weekdays = _expression([WEEKDAYS[day] for day in crontab.weekdays], 7)  # APScheduler's numbers begin at Monday
    if not crontab.is_either_day:
        return of_days(day=days, day_of_week=weekdays)
    # A trigger for days that no month has would look for them until the year 9999.
    return OrTrigger([of_days(day_of_week=weekdays), *([of_days(day=days)] if crontab.has_days else [])])


def _expression(allowed: Collection[object], count: int) -> str:
    return "*" if len(allowed) == count else ",".join(map(str, allowed))
