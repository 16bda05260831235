"""Every night comes exactly once, in every time zone of the tz database, for the daemon as it really asks."""

import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest

from daemon.core.root import Root
from daemon.core.setting_sections import NightlySettings
from daemon.core.store import Store
from daemon.serve.intake.nightly import Cycles
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from handlers.run_names import run_name
from tests.unit.daemon.at_once import at_once

WEEK, DAY, MINUTE = timedelta(weeks=1), timedelta(days=1), timedelta(minutes=1)
NIGHTS = ("00:00", "00:30", "02:00", "02:30", "03:00", "23:30")
YEARS = (2026, 2027, 2018, 2011, 2006, 1993)
"""Two to come; one with half an hour in Pyongyang at 23:30; a day that Samoa left out; a minute past midnight in
Newfoundland; a day that Kwajalein left out."""


@dataclass(frozen=True)
class Change:
    """A zone's clocks are set. Zones that do it alike, at the same time of the day, are one case."""

    before: timedelta
    after: timedelta
    at: str
    """What the wall clock shows when it is set."""


def offset(zone: ZoneInfo, time: datetime) -> timedelta:
    """Return how far the zone's clocks are from UTC."""
    difference = time.astimezone(zone).utcoffset()
    assert difference is not None
    return difference


def changes(zone: ZoneInfo, year: int) -> Iterator[datetime]:
    """Yield the moments of a year at which the zone's clocks are set."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    for week in (start + number * WEEK for number in range(53)):
        old = offset(zone, week)
        if offset(zone, week + WEEK) != old:
            yield (
                week
                + bisect_left(
                    range(WEEK // MINUTE), True, key=lambda minute: offset(zone, week + minute * MINUTE) != old
                )
                * MINUTE
            )


@cache
def cases() -> dict[Change, tuple[str, datetime]]:
    """Return a zone and a moment for each way in which clocks are set, in all zones and years."""
    found = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        for year in YEARS:
            for moment in changes(zone, year):
                before = offset(zone, moment - MINUTE)
                change = Change(before, offset(zone, moment), f"{moment + before:%H:%M}")
                found.setdefault(change, (name, moment))
    return found


def expected(zone: ZoneInfo, start: datetime, end: datetime) -> set[tuple[str, datetime]]:
    """Return the nights between two moments, found minute by minute: when the wall clock has first reached each."""
    reached = start.astimezone(zone).replace(tzinfo=None)
    nights, moment = set(), start
    while moment < end:
        moment += MINUTE
        wall = moment.astimezone(zone).replace(tzinfo=None)
        while reached < wall:
            reached += MINUTE
            if f"{reached:%H:%M}" in NIGHTS:
                nights.add((f"{reached:%H:%M}", moment))
    return nights


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Return a directory, in memory where that can be had: these are thousands of small files, and of syncs."""
    memory = Path("/dev/shm")  # noqa: S108 - the directory in it has a name of its own
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
        yield Path(name)


def test_no_night_is_dropped_or_doubled(directory: Path) -> None:
    """Around each change of any zone's clocks each night is dropped once, when its time is reached, and never again."""
    template = directory / "template.yaml"
    template.write_text("run_mode: finetune\n")
    assert len(cases()) > 100
    wrong = {change: zone for change, (zone, moment) in cases().items() if not comes_once(template, zone, moment)}
    assert not wrong


def comes_once(template: Path, zone: str, moment: datetime) -> bool:
    """Say whether a daemon's nights around `moment` are those expected."""
    start, end = moment - 1.2 * DAY, moment + 1.5 * DAY
    with tempfile.TemporaryDirectory(dir=template.parent) as name, Store.open(Path(name) / "glmd.db") as store:
        inbox = Path(name) / "inbox"
        inbox.mkdir()
        cycles = Cycles(
            [
                NightlySettings(
                    name=night.replace(":", ""),
                    cron=f"{night[3:]} {night[:2]} * * *",
                    timezone=zone,
                    template=template,
                    continue_from=None,
                )
                for night in NIGHTS
            ],
            Root(Path(name)),
            store,
            Faults(),
            at_once,
        )
        cycles.turn(Moment(0.0, start))
        now, runs = start, []
        while (due := cycles.next_due(Moment(0.0, now))) is not None and now + timedelta(seconds=due) <= end:
            now += timedelta(seconds=due)
            cycles.turn(Moment(0.0, now))
            for path in inbox.iterdir():  # it leaves no job: nothing but the time itself keeps it from coming twice
                runs.append(path.stem)
                path.unlink()
    right = expected(ZoneInfo(zone), start, end)
    return sorted(runs) == sorted(run_name(night.replace(":", ""), moment) for night, moment in right)
