"""Promises of daemon.core.night_hours: from when to when a night is."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from daemon.core.night_hours import NightHours


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this host be where clocks are set: on 25 October 2026 back at three, on 28 March 2027 forward at two."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "night", "begins", "ends"),
    (
        ("18:00-08:00", "2026-11-28", "2026-11-27 17:00", "2026-11-28 07:00"),
        (" 6:30 - 5:00 ", "2026-11-28", "2026-11-27 05:30", "2026-11-28 04:00"),
        ("00:00-06:00", "2026-11-28", "2026-11-27 23:00", "2026-11-28 05:00"),
        ("18:00-08:00", "2026-10-25", "2026-10-24 16:00", "2026-10-25 07:00"),
        ("22:00-02:30", "2027-03-28", "2027-03-27 21:00", "2027-03-28 01:30"),  # 02:30 is skipped
    ),
)
def test_a_night_is_from_the_evening_to_the_morning(text: str, night: str, begins: str, ends: str) -> None:
    """By this host's clock, of the day before where the evening is the later hour; also when the clock is set."""
    told = [moment.astimezone(UTC) for moment in NightHours.parse(text).of(date.fromisoformat(night))]
    assert told == [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (begins, ends)]


@pytest.mark.parametrize(
    "text", ("", "18:00", "18-8", "24:00-08:00", "18:60-08:00", "08:00-08:00", "18:00-08:00x", "١٨:00-08:00")
)
def test_what_is_no_night_is_refused(text: str) -> None:
    """With what is right."""
    with pytest.raises(ValueError, match="write the evening and the morning, as 18:00-08:00"):
        NightHours.parse(text)


@pytest.mark.parametrize(
    ("text", "now", "night"),
    (
        ("18:00-08:00", "2026-11-28 07:59", "2026-11-28"),
        ("18:00-08:00", "2026-11-28 17:59", "2026-11-28"),
        ("18:00-08:00", "2026-11-28 18:00", "2026-11-29"),
        ("00:00-06:00", "2026-11-28 00:00", "2026-11-28"),
        ("08:00-17:00", "2026-11-28 07:59", "2026-11-27"),
    ),
)
def test_the_newest_night_is_the_last_that_has_begun(text: str, now: str, night: str) -> None:
    """Through the day that is the one of the morning."""
    moment = datetime.fromisoformat(now).astimezone()
    assert NightHours.parse(text).newest(moment) == date.fromisoformat(night)


def test_there_is_a_newest_night_at_every_hour() -> None:
    """Whatever the hours."""
    for text in ("18:00-08:00", "23:59-00:00", "00:00-23:59", "00:01-00:00"):
        for hour in range(24 * 7):
            now = datetime(2026, 10, 22, tzinfo=UTC) + timedelta(hours=hour)
            assert NightHours.parse(text).of(NightHours.parse(text).newest(now))[0] <= now
