"""Strips of time: where a bar lies between a beginning and an end, in percent, for SVG that stretches with the page."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Bar:
    """A part of a strip."""

    x: float
    """From the left, in percent of the whole."""
    width: float
    state: str
    """What style sheets tell it by."""
    title: str


@dataclass(frozen=True)
class Hour:
    """A mark on the scale."""

    x: float
    text: str


@dataclass(frozen=True)
class Scale:
    """From when to when a strip goes."""

    begin: datetime
    end: datetime

    def place(self, moment: datetime) -> float:
        """Return where a moment lies, in percent; the ends for what is outside."""
        part = (moment - self.begin) / (self.end - self.begin) if self.end > self.begin else 0.0
        return round(100 * min(1.0, max(0.0, part)), 2)

    def bar(self, began: datetime, ended: datetime, state: str, title: str) -> Bar | None:
        """Return the bar of what lasted so long; None where it is outside."""
        if ended <= self.begin or began >= self.end or ended < began:
            return None
        left = self.place(began)
        return Bar(left, max(0.3, round(self.place(ended) - left, 2)), state, title)

    def hours(self, every: int = 2) -> list[Hour]:
        """Return the marks of full hours by this host's clock, of so many one; one that would be cut off has none."""
        found: list[Hour] = []
        moment = self.begin.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        while moment < self.end and len(found) < 100:
            local = moment.astimezone()
            if local.minute == 0 and local.hour % every == 0 and self.place(moment) < 97 and moment >= self.begin:
                found.append(Hour(self.place(moment), f"{local:%H}"))
            moment += timedelta(minutes=15)  # a zone may be off by quarters of an hour
        return found


def span(began: datetime, ended: datetime) -> str:
    """Return from when to when something was, by this host's clock."""
    return f"{began.astimezone():%H:%M}–{ended.astimezone():%H:%M}"
