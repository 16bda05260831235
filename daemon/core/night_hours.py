"""From when to when a night is, by the clock of this host."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

DEFAULT = "18:00-08:00"
_HOURS = re.compile(r"\s*(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)\s*", re.ASCII)


@dataclass(frozen=True)
class NightHours:
    """From the evening to the morning; on one day where the evening is the earlier of the two."""

    evening: time
    morning: time

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `18:00-08:00` says. Raises ValueError."""
        match = _HOURS.fullmatch(text)
        reason = f"{text!r:.100} is no night; write the evening and the morning, as {DEFAULT}"
        if match is None:
            raise ValueError(reason)
        try:
            evening, morning = (time(int(match[hour]), int(match[hour + 1])) for hour in (1, 3))
        except ValueError as error:
            raise ValueError(reason) from error
        if evening == morning:
            raise ValueError(reason)
        return cls(evening, morning)

    def __str__(self) -> str:
        return f"{self.evening:%H:%M}-{self.morning:%H:%M}"

    def of(self, night: date) -> tuple[datetime, datetime]:
        """Return when the night to the morning of `night` begins and ends. Raises OverflowError at time's ends."""
        before = night - timedelta(days=1) if self.evening > self.morning else night
        return _by_this_clock(before, self.evening), _by_this_clock(night, self.morning)

    def newest(self, now: datetime) -> date:
        """Return the morning of the last night that has begun."""
        tomorrow = now.astimezone().date() + timedelta(days=1)
        return next(
            night for days in range(3) if self.of(night := tomorrow - timedelta(days=days))[0] <= now
        )  # fmt: skip


def _by_this_clock(day: date, clock: time) -> datetime:
    # A time that is skipped comes when the clock has been set forward. Not astimezone() alone: Python 3.11 has it an
    # hour earlier than those after (https://github.com/python/cpython/issues/83861).
    return datetime.fromtimestamp(datetime.combine(day, clock).timestamp(), UTC).astimezone()
