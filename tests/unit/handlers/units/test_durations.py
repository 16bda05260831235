"""Promises of handlers.units.durations."""

import pytest

from handlers.units.durations import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    (
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1d 2h 3m 4s", 93784),
        ("1.5H", 5400),
        (0, 0),
        (7, 7),
    ),
)
def test_forms(written: object, seconds: float) -> None:
    """Units from the largest to the smallest, or a number of seconds."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ("1m2h", "30m30m", "1h1h", "", "m", "1:30", "-5", -5, True, float("nan"), "٣s", "1e3s")
)
def test_slips_are_refused(written: object) -> None:
    """A unit twice, or a small one before a large one, is no duration that anybody means."""
    with pytest.raises(ValueError, match="is not a duration; write 90s"):
        parse_duration(written)


@pytest.mark.parametrize("written", (float("inf"), 10**400, 1e300, "9" * 400 + "d", "367d", LONGEST + 1))
def test_none_is_longer_than_a_year(written: object) -> None:
    """Whatever sleeps or polls takes what a duration can be."""
    with pytest.raises(ValueError, match="longer than 366d"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "told"),
    (
        (0, "0s"),
        (0.4, "0s"),
        (59.6, "1m"),
        (3600, "1h"),
        (3615, "1h"),
        (3661, "1h1m"),
        (86400 + 59, "1d"),
        (93784, "1d2h"),
    ),
)
def test_it_is_told_in_two_units_beside_each_other(seconds: float, told: str) -> None:
    """1h15s looks like 1h15m, and nobody counts the seconds of an hour."""
    assert format_duration(seconds) == told


def test_the_longest_is_taken() -> None:
    """The limit itself is a duration."""
    assert format_duration(parse_duration("366d")) == "366d"
