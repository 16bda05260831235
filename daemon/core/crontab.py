"""Cron expressions, read as crontab(5) says: which minutes, hours and days the five fields allow.

Nicknames as `@daily` are known. Two things go beyond crontab(5), where implementations refuse or differ: a range may
wrap (`fri-mon`, `22-2`), and `5/15` is `5-59/15`.
"""

import re
from dataclasses import dataclass
from types import MappingProxyType

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days that a month has at most, from January."""

NICKNAMES = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)

_VALUE = r"[0-9]{1,4}|[a-z]{1,9}"
_ITEM = re.compile(rf"(?:\*|(?P<first>{_VALUE})(?:-(?P<last>{_VALUE}))?)(?:/(?P<step>[0-9]{{1,4}}))?", re.IGNORECASE)


class CrontabError(ValueError):
    """The text is no cron expression, or one that never comes; it says which field is wrong and what is right."""


@dataclass(frozen=True)
class _Field:
    """One of the five: its name, the numbers that it takes, and what they may be called, from the lowest on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    is_sunday_twice: bool = False
    """0 and 7 are both Sunday."""

    @property
    def _count(self) -> int:
        return self.high - self.low + 1 - self.is_sunday_twice

    def parse(self, text: str) -> frozenset[int]:
        """Return the numbers that a list of `*`, numbers, names and ranges, each with or without a step, stands for."""
        return frozenset(number for item in text.split(",") for number in self._numbers(item))

    def _numbers(self, item: str) -> list[int]:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise self._error(item, "cannot be read")
        first = self._number(match["first"], item) if match["first"] else self.low
        if match["last"]:
            last = self._number(match["last"], item)
        elif match["first"]:
            last = self.high if match["step"] else first
        else:
            last = self.low + self._count - 1
        if last < first:  # it wraps
            last += self._count
        step = int(match["step"] or 1)
        numbers = range(first, last + 1)
        if not 1 <= step <= len(numbers):
            raise self._error(item, f"has a step of {step} over {len(numbers)}")
        return [(number - self.low) % self._count + self.low for number in numbers[::step]]

    def _number(self, text: str, item: str) -> int:
        if text.lower() in self.names:
            return self.low + self.names.index(text.lower())
        if not text.isdigit():
            raise self._error(item, f"has the name {text!r}")
        number = int(text)
        if self.low <= number <= self.high:
            return number
        raise self._error(item, f"has {number}")

    def _error(self, item: str, what: str) -> CrontabError:
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return CrontabError(
            f"{self.name}: {item!r} {what}; allowed are {self.low} to {self.high}{names}, *, ranges as "
            f"{self.low + 1}-{self.low + 3}, steps as */2, and lists of these with commas"
        )


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day of month", 1, 31)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day of week", 0, 7, WEEKDAYS, is_sunday_twice=True)


@dataclass(frozen=True)
class Crontab:
    """What an expression allows."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    """Of the month."""
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday, 6 is Saturday."""
    is_either_day: bool
    """Whether a day that is in `days` or in `weekdays` is enough; else it must be in both."""

    @property
    def is_every_hour(self) -> bool:
        """Whether every hour of its days is in it."""
        return len(self.hours) == 24

    @property
    def has_days(self) -> bool:
        """Whether one of `months` is ever long enough for one of `days`."""
        return min(self.days) <= max(_LONGEST[month - 1] for month in self.months)


def parse(expression: str) -> Crontab:
    """Return what `expression` allows. Raises CrontabError."""
    text = expression.strip()
    if text.startswith("@"):
        if text.lower() not in NICKNAMES:
            raise CrontabError(f"{text!r} names no time of the clock; write five fields, {', '.join(NICKNAMES)}")
        text = NICKNAMES[text.lower()]
    fields = text.split()
    if len(fields) != 5:
        raise CrontabError(
            f"it has {len(fields)} fields; write five, minute hour day-of-month month day-of-week, as 0 2 * * 1-5"
        )
    minutes, hours, days, months, weekdays = fields
    crontab = Crontab(
        minutes=_MINUTE.parse(minutes),
        hours=_HOUR.parse(hours),
        days=_DAY.parse(days),
        months=_MONTH.parse(months),
        weekdays=_WEEKDAY.parse(weekdays),
        # As every cron since Vixie's: it goes by the first character, so that */2 does not count as restricted.
        is_either_day=not days.startswith("*") and not weekdays.startswith("*"),
    )
    if not crontab.is_either_day and not crontab.has_days:
        longest = max(_LONGEST[month - 1] for month in crontab.months)
        raise CrontabError(f"day of month: {days!r} never comes in month {months!r}; allowed are days up to {longest}")
    return crontab
