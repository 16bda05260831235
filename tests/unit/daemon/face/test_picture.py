"""Curves as pictures."""

import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.face.picture import COLOURS, DARK, DASHES, HEIGHT, WIDTH, svg, svg_of_several

SVG = "{http://www.w3.org/2000/svg}"
SEVERAL = [(f"s{number}", [(1.0, float(number)), (2.0, float(number))]) for number in range(12)]


def paths(drawn: str, kind: str = "") -> list[str]:
    """Return the pieces of a curve."""
    return [found.attrib["d"] for found in ET.fromstring(drawn).iter(f"{SVG}path") if found.attrib["class"] == kind]  # noqa: S314 - ours


def test_it_is_as_wide_as_it_is_asked_for() -> None:
    """With letters as large as in a wide one: a phone does not make it smaller."""
    drawn = svg([(1.0, 11.5), (2.0, 5.0)], "a job", width=340)
    assert ET.fromstring(drawn).attrib["viewBox"] == f"0 0 340 {HEIGHT}"  # noqa: S314 - ours
    places = [tuple(map(float, place.split(","))) for place in paths(drawn)[0][1:].split(" L")]
    assert max(x for x, _ in places) < 340
    assert "font:12px" in drawn


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


def classes(drawn: str) -> list[tuple[str, str]]:
    """Return class and places of each curve."""
    found = ET.fromstring(drawn).iter(f"{SVG}path")  # noqa: S314 - our own
    return [(path.get("class", ""), path.get("d", "")) for path in found]


def test_several_curves_have_one_scale() -> None:
    """The lowest lies at the bottom, the highest at the top, and each in its own class."""
    drawn = classes(svg_of_several(SEVERAL, "loss"))
    assert [kind for kind, _ in drawn] == [f"s{number}" for number in range(12)]
    heights = [float(places.split(",")[1].split()[0]) for _, places in drawn]
    assert heights == sorted(heights, reverse=True)
    assert (heights[0], heights[-1]) == (216.0, 12.0)


def test_each_of_twelve_is_told_from_the_others() -> None:
    """By its colour, or by its dashes; on dark, too."""
    drawn = svg_of_several(SEVERAL, "loss")
    styles = {f"{colour};stroke-dasharray:{dash}" for colour in COLOURS for dash in DASHES}
    assert len(styles) == 12
    assert all(f"{{stroke:{style}}}" in drawn for style in styles)
    assert all(drawn.count(f"{{stroke:{colour}}}") == 2 for colour in DARK)


@pytest.mark.parametrize("points", ([], [(1.0, math.nan)], [(1.0, math.inf)]))
def test_without_a_number_there_is_no_curve(points: list[tuple[float, float]]) -> None:
    """A dash says so."""
    assert classes(svg_of_several([("s0", points)], "loss")) == []
    assert classes(svg(points, "loss")) == []


def test_what_was_in_vain_lies_behind_what_counts() -> None:
    """And has the colour of it, dim."""
    drawn = classes(svg([(1.0, 1.0), (2.0, 0.5)], "a < b", [(1.0, 2.0)]))
    assert [kind for kind, _ in drawn] == ["vain", ""]
