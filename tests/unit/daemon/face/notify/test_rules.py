"""When something may be sent, and when it is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.core.night_hours import NightHours
from daemon.face.notify import rules

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def at(hour: int, minute: int = 0) -> datetime:
    """Return a time of the day by the host's clock."""
    return datetime(2026, 11, 29, hour, minute).astimezone()


@pytest.mark.parametrize(
    ("hours", "quiet", "loud"),
    (
        ("23:00-07:00", [(23, 0), (3, 0), (6, 59)], [(7, 0), (12, 0), (22, 59)]),
        ("12:00-14:00", [(12, 0), (13, 59)], [(11, 59), (14, 0), (0, 0)]),
    ),
)
def test_quiet_hours_may_go_over_midnight(
    hours: str, quiet: list[tuple[int, int]], loud: list[tuple[int, int]]
) -> None:
    """They begin with their first minute and end before their last."""
    found = NightHours.parse(hours)
    assert all(rules.is_quiet(found, at(*time)) for time in quiet)
    assert not any(rules.is_quiet(found, at(*time)) for time in loud)


def test_without_quiet_hours_it_is_never_quiet() -> None:
    """Who sets none is told at any time."""
    assert not rules.is_quiet(None, at(3))


def test_pauses_grow_and_then_stay() -> None:
    """10 s, 1 min, 5 min, 30 min, and 30 min for as long as it takes."""
    pauses = [(rules.next_try(tries, None, NOW) - NOW).total_seconds() for tries in range(1, 9)]
    wanted = [10, 60, 300, 1800, 1800, 1800, 1800, 1800]
    assert all(0.8 * mean <= pause <= 1.2 * mean for mean, pause in zip(wanted, pauses, strict=True))


def test_the_other_sides_wish_counts_within_a_day() -> None:
    """Retry-After makes a pause longer, never shorter, and nobody keeps glmd away for a week."""
    assert (rules.next_try(1, 120.0, NOW) - NOW).total_seconds() == 120
    assert (rules.next_try(4, 1.0, NOW) - NOW).total_seconds() >= 1440
    assert (rules.next_try(1, 7 * 86400.0, NOW) - NOW).total_seconds() == 86400


def test_a_try_is_due_in_its_time_and_after_the_clock_was_set_back() -> None:
    """A time that is further off than any pause was not meant."""
    assert rules.is_due(NOW, NOW)
    assert not rules.is_due(NOW + timedelta(minutes=30), NOW)
    assert rules.is_due(NOW + timedelta(days=2), NOW)


def test_a_message_outlives_a_long_weekend() -> None:
    """Friday evening to Tuesday morning; after four days it is given up."""
    assert not rules.is_given_up(NOW - timedelta(hours=88), NOW)
    assert rules.is_given_up(NOW - timedelta(days=4, seconds=1), NOW)
