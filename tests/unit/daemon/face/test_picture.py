"""Curves as pictures."""

import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.face.picture import HEIGHT, WIDTH, svg

SVG = "{http://www.w3.org/2000/svg}"


def paths(drawn: str, kind: str = "") -> list[str]:
    """Return the pieces of a curve."""
    return [found.attrib["d"] for found in ET.fromstring(drawn).iter(f"{SVG}path") if found.attrib["class"] == kind]  # noqa: S314 - ours


def test_a_falling_loss_falls() -> None:
    """From the upper left to the lower right, with its ends and its highest and lowest number."""
    drawn = svg([(1.0, 11.5), (2.0, 5.0), (3.0, 1.5)], "a job")
    (path,) = paths(drawn)
    places = [tuple(map(float, place.split(","))) for place in path[1:].split(" L")]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    texts = [found.text for found in ET.fromstring(drawn).iter(f"{SVG}text")]  # noqa: S314 - ours
    assert texts == ["11.5", "1.5", "1", "3"]


def test_what_is_no_number_is_a_gap() -> None:
    """NaN and infinity; what was trained in vain is behind."""
    points = [(1.0, 1.0), (2.0, math.nan), (3.0, 2.0), (4.0, 3.0), (5.0, math.inf)]
    drawn = svg(points, "a job", [(2.0, 5.0), (3.0, 6.0)])
    assert len(paths(drawn)) == 2
    assert len(paths(drawn, "vain")) == 1


@pytest.mark.parametrize("points", ([], [(1.0, math.nan)], [(1.0, 2.0)], [(1.0, 2.0), (2.0, 2.0)]))
def test_little_to_be_drawn(points: list[tuple[float, float]]) -> None:
    """Is a picture, too."""
    assert ET.fromstring(svg(points, "a job")).tag == f"{SVG}svg"  # noqa: S314 - ours


@given(st.text())
def test_any_name_stays_text(name: str) -> None:
    """Whatever characters it has, also those that XML has not: the picture can be read, and nothing in it runs."""
    read = ET.fromstring(svg([(1.0, 1.0)], f'<script>{name}</script>"'))  # noqa: S314 - ours
    assert read.find(f".//{SVG}script") is None
