"""Cron expressions mean what crontab(5) says, and what is wrong in one is said."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.crontab import NICKNAMES, CrontabError, parse
from daemon.core.schedule import Schedule

SATURDAY = datetime(2026, 11, 28, 12, tzinfo=UTC)


def days(expression: str, count: int = 7) -> list[str]:
    """Return the next days on which `expression` comes, as `Mon 30`."""
    schedule, time, found = Schedule(parse(expression), UTC), SATURDAY, []
    for _ in range(count):
        time = schedule.after(time)
        found.append(f"{time:%a %d}")
    return found


@pytest.mark.parametrize(
    ("weekdays", "right"),
    (
        ("1-5", {1, 2, 3, 4, 5}),
        ("mon-fri", {1, 2, 3, 4, 5}),
        ("MON-Fri", {1, 2, 3, 4, 5}),
        ("0", {0}),
        ("7", {0}),
        ("sun", {0}),
        ("0-7", {0, 1, 2, 3, 4, 5, 6}),
        ("5-7", {5, 6, 0}),
        ("fri-sun", {5, 6, 0}),
        ("sun-tue", {0, 1, 2}),
        ("fri-mon", {5, 6, 0, 1}),
        ("5-1", {5, 6, 0, 1}),
        ("6-0", {6, 0}),
        ("7-1", {0, 1}),
        ("7-0", {0}),
        ("mon-sun", {0, 1, 2, 3, 4, 5, 6}),
        ("1-5/2", {1, 3, 5}),
        ("fri-mon/2", {5, 0}),
        ("*/2", {0, 2, 4, 6}),
        ("mon/2", {1, 3, 5, 0}),
        ("1-1/1", {1}),
        ("mon,wed,5", {1, 3, 5}),
        ("*", {0, 1, 2, 3, 4, 5, 6}),
    ),
)
def test_weekdays_begin_at_sunday(weekdays: str, right: set[int]) -> None:
    """0 and 7 are Sunday, 1 is Monday; ranges of numbers and names may wrap."""
    assert parse(f"0 2 * * {weekdays}").weekdays == right


def test_weeknights_are_monday_to_friday() -> None:
    """The days that come are those that crontab(5) means, not those of Python's count."""
    assert days("0 2 * * 1-5", 6) == ["Mon 30", "Tue 01", "Wed 02", "Thu 03", "Fri 04", "Mon 07"]
    assert days("0 2 * * 0", 2) == ["Sun 29", "Sun 06"]


@pytest.mark.parametrize(
    ("expression", "field", "right"),
    (
        ("*/15 2 * * *", "minutes", {0, 15, 30, 45}),
        ("5/15 2 * * *", "minutes", {5, 20, 35, 50}),
        ("50-10/5 2 * * *", "minutes", {50, 55, 0, 5, 10}),
        ("*/60 2 * * *", "minutes", {0}),
        ("0 22-2 * * *", "hours", {22, 23, 0, 1, 2}),
        ("0 8-18/5 * * *", "hours", {8, 13, 18}),
        ("0 02 * * *", "hours", {2}),
        ("0 2 28-2 * *", "days", {28, 29, 30, 31, 1, 2}),
        ("0 2 * jan,JUN-aug *", "months", {1, 6, 7, 8}),
        ("0 2 * 11-2 *", "months", {11, 12, 1, 2}),
        ("0 2 * */5 *", "months", {1, 6, 11}),
        ("@daily", "hours", {0}),
        ("@Weekly", "weekdays", {0}),
        ("@hourly", "minutes", {0}),
    ),
)
def test_lists_ranges_and_steps(expression: str, field: str, right: set[int]) -> None:
    """In every field; a number with a step goes on to the field's end, and nicknames are known."""
    assert getattr(parse(expression), field) == right


def test_a_day_of_either_kind_is_enough_where_both_are_restricted() -> None:
    """As every cron since Vixie's has it: the first of the month, and each Monday."""
    assert days("0 2 1 * 1", 4) == ["Mon 30", "Tue 01", "Mon 07", "Mon 14"]


@pytest.mark.parametrize(
    ("expression", "right"), (("0 2 */2 * 1", ["Mon 07", "Mon 21"]), ("0 2 1-7 * */7", ["Sun 06"]))
)
def test_a_day_that_begins_with_a_star_is_not_restricted(expression: str, right: list[str]) -> None:
    """Then it must be a day of both kinds: Mondays with an odd number, the first Sunday of a month."""
    assert days(expression, len(right)) == right


@pytest.mark.parametrize(
    ("expression", "what"),
    (
        ("61 2 * * *", "minute: '61' has 61; allowed are 0 to 59"),
        ("0 24 * * *", "hour: '24' has 24; allowed are 0 to 23"),
        ("0 2 0 * *", "day of month: '0' has 0; allowed are 1 to 31"),
        ("0 2 * 13 *", "month: '13' has 13; allowed are 1 to 12 or jan to dec"),
        ("0 2 * * 8", "day of week: '8' has 8; allowed are 0 to 7 or sun to sat"),
        ("0 2 * * 1-9", "day of week: '1-9' has 9"),
        ("0 2 * * monday", "day of week: 'monday' has the name 'monday'"),
        ("0 2 * mon *", "month: 'mon' has the name"),
        ("x 2 * * *", "minute: 'x' has the name"),
        ("0 */0 * * *", r"hour: '\*/0' has a step of 0"),
        ("*/90 * * * *", r"minute: '\*/90' has a step of 90 over 60"),
        ("0 2 * * 1-5/9", "day of week: '1-5/9' has a step of 9 over 5"),
        ("0 2 ? * *", r"day of month: '\?' cannot be read"),
        ("0 2 L * *", "day of month: 'L' has the name"),
        ("0 2 * * 5L", "day of week: '5L' cannot be read"),
        ("0 2 * * mon#1", "day of week: 'mon#1' cannot be read"),
        ("0 2, * * *", "hour: '' cannot be read"),
        ("0 -2 * * *", "hour: '-2' cannot be read"),
        ("0 2 * * *-5", r"day of week: '\*-5' cannot be read"),
        ("0 \N{FULLWIDTH DIGIT TWO} * * *", "hour: .* cannot be read"),
        ("0 " + "9" * 5000 + " * * *", "hour: .* cannot be read"),
        ("0 2 * *", "it has 4 fields; write five"),
        ("0 0 2 * * *", "it has 6 fields"),
        ("", "it has 0 fields"),
        ("02:00", "it has 1 fields"),
        ("@reboot", "'@reboot' names no time of the clock"),
        ("@every 5m", "names no time of the clock; write five fields, @yearly"),
        ("0 0 30 2 *", "day of month: '30' never comes in month '2'; allowed are days up to 29"),
        ("0 0 31 4,jun,9-sep,11 *", "day of month: '31' never comes in month .* up to 30"),
        ("0 0 30 2 */2", "never comes"),
    ),
)
def test_what_is_wrong_is_said(expression: str, what: str) -> None:
    """With the field, what stands there, and what would be right; also for what would never come."""
    with pytest.raises(CrontabError, match=what):
        parse(expression)


def test_a_day_that_never_comes_is_no_fault_beside_a_weekday() -> None:
    """Where a day of either kind is enough, the other kind still comes."""
    assert days("0 0 30 2 1", 2) == ["Mon 01", "Mon 08"]


def _items(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """Return items of a field's list: what crontab(5) allows, and sometimes a little more or less."""
    number = st.integers(max(low - 1, 0), high + 1)
    value = number.map(str) | st.sampled_from(names) if names else number.map(str)
    ranges = st.builds("{}-{}".format, value, value)
    # Of a range of one, as 3-3/2, cronsim takes the step from there to the field's end.
    wide = st.tuples(number, number).filter(lambda ends: ends[0] != ends[1]).map(lambda ends: f"{ends[0]}-{ends[1]}")
    stepped = st.builds("{}/{}".format, st.just("*") | value | wide, st.integers(0, 12))
    return st.just("*") | value | ranges | stepped


def _field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    return st.just("*") | st.lists(_items(low, high, names), min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(
    _field(0, 59),
    _field(0, 23),
    _field(1, 31),
    _field(1, 12, ("jan", "Apr", "DEC")),
    _field(0, 7, ("sun", "Mon", "SAT")),
).map(" ".join)


def _next(after: Callable[[datetime], datetime], start: datetime) -> list[datetime]:
    found = [after(start)]
    for _ in range(5):
        found.append(after(found[-1]))
    return found


@settings(max_examples=1000, deadline=None)
@given(EXPRESSIONS, st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001 - UTC is set below
def test_another_implementation_reads_expressions_alike(expression: str, start: datetime) -> None:
    """What cronsim takes, which follows Debian's cron, comes at the same times; of what it refuses, wraps alone come.

    But for steps wider than their range: those are refused, for nobody means the one number that they leave.
    """
    start = start.replace(microsecond=0, tzinfo=UTC)
    try:
        other = CronSim(expression, start)
        theirs = [next(other) for _ in range(6)]
    except (CronSimError, StopIteration):
        theirs = None
    why = ""
    try:
        ours = _next(Schedule(parse(expression), UTC).after, start)
    except CrontabError as error:
        ours, why = None, str(error)
    assert ours == theirs or (theirs is None and "-" in expression) or "has a step of" in why


@pytest.mark.parametrize("nickname", NICKNAMES)
def test_nicknames_are_those_of_crontab(nickname: str) -> None:
    """Each stands for five fields that can be read."""
    assert parse(nickname) == parse(NICKNAMES[nickname])
