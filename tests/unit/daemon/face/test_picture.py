"""Promises of daemon.face.picture: curves as SVG that needs nothing else."""

import math
from xml.etree import ElementTree as ET

import pytest

from daemon.face.picture import COLOURS, DARK, DASHES, svg, svg_of_several

SVG = "{http://www.w3.org/2000/svg}"
SEVERAL = [(f"s{number}", [(1.0, float(number)), (2.0, float(number))]) for number in range(12)]


def paths(drawn: str) -> list[tuple[str, str]]:
    """Return class and places of each curve."""
    found = ET.fromstring(drawn).iter(f"{SVG}path")  # noqa: S314 - our own
    return [(path.get("class", ""), path.get("d", "")) for path in found]


def test_several_curves_have_one_scale() -> None:
    """The lowest lies at the bottom, the highest at the top, and each in its own class."""
    drawn = paths(svg_of_several(SEVERAL, "loss"))
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
    assert paths(svg_of_several([("s0", points)], "loss")) == []
    assert paths(svg(points, "loss")) == []


def test_what_was_in_vain_lies_behind_what_counts() -> None:
    """And has the colour of it, dim."""
    drawn = paths(svg([(1.0, 1.0), (2.0, 0.5)], "a < b", [(1.0, 2.0)]))
    assert [kind for kind, _ in drawn] == ["vain", ""]
