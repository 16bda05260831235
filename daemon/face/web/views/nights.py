"""The nights of a month: a row a cycle, a mark a night, and how the cycle has fared."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from daemon.core.read_store import ReadStore
from daemon.face import signs
from daemon.face.curve import spark
from daemon.face.nights import CycleNights, Mark, columns, night_of
from daemon.face.nights import nights as nights_since
from daemon.face.notices import notice_texts
from daemon.face.web.asking import Asked, NotThereError, Page
from handlers.units.durations import format_duration

_FIRST = 1971
_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_PHONE = 14
"""Nights that a phone shows of the present month."""
_CYCLES = 100
_TO_COME = "to come"
_DOT = "·"


@dataclass(frozen=True)
class Square:
    """A night of a cycle."""

    night: date
    sign: str
    state: str
    """What style sheets tell it by; empty where nothing was due."""
    word: str
    href: str
    """Empty where there is nothing to be seen."""
    kind: str
    """Where it is shown: in the `month`, `recent`, for a phone too, or `before` the month, for a phone alone."""


@dataclass(frozen=True)
class CycleRow:
    """A cycle."""

    cycle: str
    squares: tuple[Square, ...]
    rate: str
    streak: int | None
    """None for a month that is past."""
    spark: str
    loss: str
    """The last one."""
    job: int | None
    """Of its last run."""
    due: str


@dataclass(frozen=True)
class NightsPage:
    """What the page shows."""

    month: date
    earlier: str
    later: str
    """As `2026-12`; empty for months to come."""
    rows: tuple[CycleRow, ...]
    more: int
    """Cycles that are not shown."""
    legend: tuple[tuple[str, str, str], ...]
    """State, sign and word."""
    notices: tuple[str, ...]


@dataclass(frozen=True)
class Month:
    """A month of nights, by their mornings."""

    first: date
    last: date
    is_present: bool
    since: date
    """The first night that is shown."""


def month_of(asked: Asked, now: datetime) -> Month:
    """Return the month that is asked for, by default the present one. Raises NotThereError."""
    newest, text = night_of(now), asked.query.get("month", "")
    match = _MONTH.fullmatch(text or f"{newest:%Y-%m}")
    year, month = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (year >= _FIRST and 1 <= month <= 12 and (year, month) <= (newest.year, newest.month)):
        raise NotThereError(asked.words.say("nights", "no_month", month=text[:40]))
    first = date(year, month, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    is_present = (year, month) == (newest.year, newest.month)
    since = min(first, newest - timedelta(days=_PHONE - 1)) if is_present else first
    return Month(first, last, is_present, since)


def read_month(asked: Asked, month: Month, now: datetime) -> list[CycleNights]:
    """Return how the cycles fared. Raises StoreError."""

    def read() -> list[CycleNights]:
        with ReadStore.open(asked.site.root.store) as store:
            return list(nights_since(store, month.since, now, None if month.is_present else month.last))

    return asked.site.kept.of(("nights", month.since), asked.site.root.store, read)


def nights(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    now = datetime.now(UTC)
    month = month_of(asked, now)
    found: list[CycleNights] = []
    notices: tuple[str, ...] = ()
    if asked.site.root.store.exists():
        found = read_month(asked, month, now)
        with ReadStore.open(asked.site.root.store) as store:
            notices = tuple(notice_texts(store.notices()))
    days = columns(found, month.since, now) if month.is_present else _days(month)
    marked = [(mark, signs.OF_MARKS[mark], asked.words.say("marked", mark)) for mark in reversed(Mark)]
    content = NightsPage(
        month=month.first,
        earlier=f"{month.first - timedelta(days=1):%Y-%m}" if month.first.year > _FIRST else "",
        later="" if month.is_present else f"{month.last + timedelta(days=1):%Y-%m}",
        rows=tuple(_row(cycle, days, month, now, asked) for cycle in found[:_CYCLES]),
        more=max(0, len(found) - _CYCLES),
        legend=(*marked, (_TO_COME, _DOT, asked.words.say("nights", "to_come"))),
        notices=notices,
    )
    return Page("nights.html", asked.words.say("nights", "title"), content, tab="night")


def _days(month: Month) -> list[date]:
    return [month.first + timedelta(days=day) for day in range((month.last - month.first).days + 1)]


def _row(found: CycleNights, days: Sequence[date], month: Month, now: datetime, asked: Asked) -> CycleRow:
    runs = [run for run in found.runs if run.night >= month.first]
    mine = CycleNights(found.cycle, found.next_due, found.streak, tuple(runs))
    rate, losses = mine.success_rate, mine.losses
    jobs = [run.job.id for run in found.runs if run.job is not None]
    return CycleRow(
        cycle=found.cycle,
        squares=tuple(_squares(found, days, month, now, asked)),
        rate="" if rate is None else f"{rate:.0%}",
        streak=found.streak if month.is_present else None,
        spark=spark(losses, 16) if len(losses) > 1 else "",
        loss=f"{losses[-1]:.4g}" if losses else "",
        job=jobs[-1] if jobs else None,
        due="" if found.next_due is None or not month.is_present else _due(found.next_due, now, asked),
    )


def _squares(found: CycleNights, days: Sequence[date], month: Month, now: datetime, asked: Asked) -> Iterator[Square]:
    marks = found.marks()
    coming = None if found.next_due is None else night_of(found.next_due)
    recent = night_of(now) - timedelta(days=_PHONE - 1)
    for night in days:
        mark = marks.get(night)
        kind = "before" if night < month.first else "recent" if night >= recent or not month.is_present else "month"
        href = "" if mark is None else asked.url(f"/night/{night.isoformat()}")
        if mark is not None:
            yield Square(night, signs.OF_MARKS[mark], mark, asked.words.say("marked", mark), href, kind)
        elif night == coming:
            yield Square(night, _DOT, _TO_COME, asked.words.say("nights", "to_come"), href, kind)
        else:
            yield Square(night, "", "", asked.words.say("nights", "nothing_due"), href, kind)


def _due(due: datetime, now: datetime, asked: Asked) -> str:
    left = format_duration(max(0.0, (due - now).total_seconds()))
    return asked.words.say("nights", "next", time=f"{due.astimezone():%m-%d %H:%M}", left=left)
