"""Curves in braille."""

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.face.curve import curve


def test_a_falling_loss_falls() -> None:
    """From the upper left to the lower right, with its highest and lowest number, and its ends below."""
    lines = list(curve([(number, 10.0 - number) for number in range(11)], width=5, height=2))
    assert [line.split()[0] for line in lines] == ["10", "0", "0"]
    assert lines[-1].split() == ["0", "10"]
    upper, lower = (line.split()[1] for line in lines[:2])
    assert len(upper) < len(lower) == 5
    assert lower.startswith("\u2800")


def test_extremes_of_what_falls_into_one_column_are_seen() -> None:
    """A single outlier of a million steps, too."""
    points = [(number, 1.0) for number in range(10_000)]
    points[5000] = (5000, 100.0)
    assert next(iter(curve(points, height=4))).split()[1].strip("⠀")


@pytest.mark.parametrize("points", ([], [(1, math.nan)], [(1, math.inf), (2, -math.inf)]))
def test_nothing_to_draw(points: list[tuple[float, float]]) -> None:
    """There is no curve of no numbers."""
    assert list(curve(points)) == []


@given(st.lists(st.floats(), min_size=1, max_size=100), st.integers(1, 70), st.integers(2, 8))
def test_any_numbers(numbers: list[float], width: int, height: int) -> None:
    """Nothing is raised, and the lines are as many and as wide as was said. Signs take one cell in every language."""
    lines = list(curve(list(enumerate(numbers)), width=width, height=height))
    assert len(lines) in {0, height + 1}
    for line in lines[:-1]:
        label, _, drawn = line.rpartition(" ")
        assert len(drawn) <= width or not label
        assert all(unicodedata.east_asian_width(sign) in {"N", "Na"} for sign in line)
