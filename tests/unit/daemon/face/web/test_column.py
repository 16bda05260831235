"""Promises of daemon.face.web.column: numbers come back as they were, and those that are all the same take no room."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.face.web.column import Column

VALUES = st.lists(st.sampled_from([math.nan, math.inf, 0.0, 1.0, 5e-05, 11.776, 1e300, -3.5e38]), max_size=12)


def column(values: list[float]) -> Column:
    """Return a column of these."""
    made = Column()
    for value in values:
        made.append(value)
    return made


def told(values: object) -> str:
    """Return numbers such that nan is nan."""
    return repr(list(values))  # type: ignore[call-overload] # a test's


@given(values=VALUES, start=st.integers(0, 12), stop=st.integers(0, 12))
def test_numbers_come_back(values: list[float], start: int, stop: int) -> None:
    """One by one and some at a time, whenever they began to differ."""
    made = column(values)
    assert told(made[place] for place in range(len(values))) == told(values)
    assert told(made[start:stop]) == told(values[start:stop])


def test_what_single_precision_holds_takes_half_the_room() -> None:
    """As milliseconds and scales; one that needs more changes none of them."""
    made = column([float(number) for number in range(1000)])
    assert sys.getsizeof(made.__dict__["_values"]) < 5000
    made.append(1 / 3)
    assert told(made[998:1001]) == told([998.0, 999.0, 1 / 3])


@pytest.mark.parametrize("value", (math.nan, 65536.0))
def test_what_is_all_the_same_takes_no_room(value: float) -> None:
    """Until one is another."""
    made = column([value] * 1000)
    assert sys.getsizeof(made.__dict__["_values"]) < 100
    made.append(1.0)
    assert told(made[998:1001]) == told([value, value, 1.0])
