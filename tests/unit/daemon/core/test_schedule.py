"""A cron expression in a time zone: no time is lost or doubled where the zone's clocks are set."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from daemon.core.crontab import parse
from daemon.core.schedule import Schedule, zone_named


def shown(expression: str, zone: str | None, start: str, count: int) -> list[str]:
    """Return the next times after `start`, in UTC, as the zone's clocks show them: day, hour and offset."""
    schedule = Schedule(parse(expression), zone and zone_named(zone))
    last, found = datetime.fromisoformat(start).replace(tzinfo=UTC), []
    for _ in range(count):
        last = schedule.after(last)
        found.append(f"{schedule.local(last):%d %H:%M %z}")
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "start", "right"),
    (
        # Spring in Berlin: 02:00 to 03:00 is skipped.
        ("0 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:00 +0200"]),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:30 +0200"]),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00 +0200", "30 03:00 +0200"]),
        ("0,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:59", ["29 03:00 +0200", "29 03:30 +0200", "30 02:00 +0200"]),
        ("*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:00 +0200"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-28T23:00", ["29 03:00 +0200", "29 04:00 +0200"]),
        # Autumn in Berlin: 02:00 to 03:00 comes twice.
        ("0 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["25 02:00 +0200", "26 02:00 +0100"]),
        ("0 3 * * *", "Europe/Berlin", "2026-10-24T12:00", ["25 03:00 +0100", "26 03:00 +0100"]),
        ("*/30 1-2 * * *", "Europe/Berlin", "2026-10-24T23:45", ["25 02:00 +0200", "25 02:30 +0200", "26 01:00 +0100"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10", ["26 02:30 +0100"]),  # begun in the second of both hours
        # Midnight that is skipped, and one that comes twice.
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", ["24 01:00 +0300", "25 00:00 +0300"]),
        ("@daily", "America/Santiago", "2026-09-05T12:00", ["06 01:00 -0300", "07 00:00 -0300"]),
        ("0 0 * * sun", "America/Santiago", "2026-09-05T12:00", ["06 01:00 -0300", "13 00:00 -0300"]),
        ("30 0 * * *", "America/Havana", "2024-11-02T12:00", ["03 00:30 -0400", "04 00:30 -0500"]),
        ("30 23 * * *", "America/Nuuk", "2026-03-28T12:00", ["29 00:00 -0100", "29 23:30 -0100"]),
        # Half an hour, and a whole day.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00", ["04 02:30 +1100", "05 02:15 +1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T10:00", ["05 01:45 +1100", "06 01:45 +1030"]),
        ("0 2 * * *", "Pacific/Apia", "2011-12-29T13:00", ["31 00:00 +1400", "31 02:00 +1400", "01 02:00 +1400"]),
        ("0 2 * * *", "Pacific/Kwajalein", "1993-08-20T15:00", ["22 00:00 +1200", "22 02:00 +1200", "23 02:00 +1200"]),
    ),
)
def test_each_time_comes_once(expression: str, zone: str, start: str, right: list[str]) -> None:
    """One that is skipped when the clock is set forward, several at once; one that is repeated at the first of both."""
    assert shown(expression, zone, start, len(right)) == right


@pytest.mark.parametrize(
    ("expression", "zone", "start"),
    (
        ("0 * * * *", "Europe/Berlin", "2026-03-28T20:00"),
        ("30 * * * *", "Europe/Berlin", "2026-03-28T20:30"),
        ("30 0-23 * * *", "Europe/Berlin", "2026-10-24T20:30"),
        ("@hourly", "Africa/Cairo", "2026-04-23T12:00"),
        ("45 * * * *", "Antarctica/Troll", "2026-03-28T20:45"),
        ("0 * * * *", "Pacific/Apia", "2011-12-29T20:00"),
        ("*/15 * * * *", "Europe/Berlin", "2026-10-24T23:00"),
        ("*/15 * * * *", "Europe/Berlin", "2026-03-28T23:00"),
        ("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T12:00"),
        ("*/30 * * * *", "Australia/Lord_Howe", "2026-10-03T12:00"),
        ("* * * * *", "America/Nuuk", "2026-10-25T00:00"),
    ),
)
def test_what_comes_every_hour_comes_as_time_passes(expression: str, zone: str, start: str) -> None:
    """Through an hour that is repeated, and over one that is skipped, at the same distances."""
    schedule = Schedule(parse(expression), zone_named(zone))
    times = [datetime.fromisoformat(start).replace(tzinfo=UTC)]
    while times[-1] < times[0] + timedelta(days=1):
        times.append(schedule.after(times[-1]))
    distance = times[1] - times[0]
    assert distance in {timedelta(minutes=minutes) for minutes in (1, 15, 30, 60)}
    assert {after - before for before, after in pairwise(times)} == {distance}


def test_what_comes_every_hour_of_a_day_keeps_to_that_day() -> None:
    """Also where the first minutes of a day come twice, and where half an hour is repeated."""
    assert shown("0 * * * 1", "America/Havana", "2024-11-03T12:00", 1) == ["04 00:00 -0500"]
    assert shown("20 * * 11 0", "America/Havana", "2024-11-03T03:00", 3) == [
        "03 00:20 -0400", "03 00:20 -0500", "03 01:20 -0500",
    ]  # fmt: skip
    assert shown("40 * * * *", "Australia/Lord_Howe", "2026-04-04T14:00", 3) == [
        "05 01:40 +1100", "05 01:40 +1030", "05 02:40 +1030",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "suggestion"),
    (
        ("Mars/Base", "Asia/Shanghai"),
        ("asia/shanghai", "Asia/Shanghai"),
        ("Asia/Shangai", "Asia/Shanghai"),
        ("America/New York", "America/New_York"),
        ("UTC+8", ""),
        ("CST-8", ""),
        ("+08:00", ""),
        ("", ""),
        ("America", ""),
        ("../etc/passwd", ""),
        ("/etc/localtime", ""),
        ("tzdata.zi", ""),
        ("x" * 5000, ""),
        ("Asia/\0", ""),
    ),
)
def test_an_unknown_zone_is_said(name: str, suggestion: str) -> None:
    """With the nearest name there is."""
    with pytest.raises(ValueError, match=f"is no zone of the tz database; write a name as .*{suggestion}"):
        zone_named(name)


def test_zones_are_known_on_a_host_that_has_none() -> None:
    """A server may lack /usr/share/zoneinfo; the package brings them."""
    code = "from daemon.core.schedule import zone_named; print(zone_named('Asia/Shanghai'))"
    environment = os.environ | {"PYTHONTZPATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "Asia/Shanghai\n"


@pytest.fixture
def set_host_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let a test set TZ; the C library goes back to the host's own zone after it."""
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("tz", "start", "right"),
    (
        ("Asia/Shanghai", "2026-03-28T12:00", "29 02:00 +0800"),
        (":Asia/Shanghai", "2026-03-28T12:00", "29 02:00 +0800"),
        ("CST-8", "2026-03-28T12:00", "29 02:00 +0800"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-28T12:00", "29 03:00 +0200"),  # 02:00 is skipped
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-24T12:00", "25 02:00 +0200"),  # 02:00 comes twice
        ("", "2026-03-28T12:00", "29 02:00 +0000"),
        ("Mars/Base", "2026-03-28T12:00", "29 02:00 +0000"),
    ),
)
def test_without_a_zone_the_hosts_own_counts(
    set_host_zone: pytest.MonkeyPatch, tz: str, start: str, right: str
) -> None:
    """As `date` shows it, however TZ is written: the C library's word is taken, which makes UTC of nonsense."""
    set_host_zone.setenv("TZ", tz)
    time.tzset()
    assert shown("0 2 * * *", None, start, 1) == [right]
