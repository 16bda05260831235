"""Promises of daemon.face.web.strips: a bar lies where its time was, within its strip."""

import time
from datetime import timedelta

import pytest

from daemon.face.web.strips import Scale, span
from tests.unit.daemon.face.diary import utc

NIGHT = Scale(utc("2026-11-27 18:00"), utc("2026-11-28 08:00"))


def test_a_bar_lies_where_its_time_was() -> None:
    """Half of the night from a quarter on."""
    whole = NIGHT.end - NIGHT.begin
    bar = NIGHT.bar(NIGHT.begin + whole / 4, NIGHT.begin + whole * 3 / 4, "trains", "told")
    assert bar is not None
    assert (bar.x, bar.width, bar.state, bar.title) == (25, 50, "trains", "told")


def test_a_bar_ends_with_its_strip() -> None:
    """What began before or goes on behind is cut."""
    bar = NIGHT.bar(NIGHT.begin - timedelta(days=9), NIGHT.end + timedelta(days=9), "", "")
    assert bar is not None
    assert (bar.x, bar.width) == (0, 100)


def test_what_was_short_is_seen() -> None:
    """A second is no hundredth of a percent, and a bar all the same."""
    bar = NIGHT.bar(NIGHT.begin, NIGHT.begin + timedelta(seconds=1), "", "")
    assert bar is not None
    assert bar.width >= 0.3


@pytest.mark.parametrize(
    ("began", "ended"),
    (
        ("2026-11-27 10:00", "2026-11-27 18:00"),
        ("2026-11-28 08:00", "2026-11-28 09:00"),
        ("2026-11-27 22:00", "2026-11-27 21:00"),
    ),
)
def test_what_was_at_another_time_has_no_bar(began: str, ended: str) -> None:
    """Nor has what ended before it began: clocks are set."""
    assert NIGHT.bar(utc(began), utc(ended), "", "") is None


def test_the_scale_has_the_hours_of_this_host() -> None:
    """Every other one, each at its place."""
    told = NIGHT.hours()
    assert [hour.text for hour in told] == ["18", "20", "22", "00", "02", "04", "06"]
    assert told[1].x == pytest.approx(100 * 2 / 14, abs=0.01)


def test_hours_are_full_ones_also_in_zones_of_half_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """In India 18:00 is at half an hour of UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    scale = Scale(utc("2026-11-27 12:30"), utc("2026-11-28 02:30"))
    assert [hour.text for hour in scale.hours()] == ["18", "20", "22", "00", "02", "04", "06"]
    assert scale.hours()[0].x == 0


def test_a_strip_of_no_time_has_nothing() -> None:
    """Nothing is divided by it."""
    scale = Scale(NIGHT.begin, NIGHT.begin)
    assert scale.place(NIGHT.begin) == 0
    assert scale.hours() == []


def test_a_span_is_told_in_hours() -> None:
    """By this host's clock."""
    assert span(NIGHT.begin, NIGHT.end) == "18:00–08:00"
