"""Promises of the recording in README.md; tests/rehearsal/test_demo.py holds its lines against what the demo prints."""

import re
from xml.etree import ElementTree as ET

import pytest

from tests.rehearsal.recording.drawing import PLAYS, draw
from tests.rehearsal.recording.record import FILE, HOUSE, MOST, said
from tests.rehearsal.recording.terminal import Moment, Screen

RECORDING = FILE.read_text("utf-8")
SVG = "{http://www.w3.org/2000/svg}"


def test_it_is_small_and_shown() -> None:
    """First of all in README.md, with words for who does not see it."""
    assert FILE.stat().st_size <= MOST
    readme = (HOUSE / "README.md").read_text("utf-8")
    assert re.findall(r'<img src="([^"]+)"[^>]* alt="[^"]+">', readme)[0] == str(FILE.relative_to(HOUSE))


def test_it_is_a_picture_and_nothing_else() -> None:
    """No script, no link, no font or picture from elsewhere: it needs nothing but itself."""
    elements = list(ET.fromstring(RECORDING).iter())  # noqa: S314 - ours
    assert {element.tag.removeprefix(SVG) for element in elements} == {"svg", "title", "style", "rect", "text", "tspan"}
    assert not [name for element in elements for name in element.attrib if name.startswith("on") or "href" in name]
    assert not re.search(r"url\(|@import|@font-face|<!|<\?", RECORDING)


def test_it_comes_to_its_end() -> None:
    """Within the time that it may take, and a second; every line is there then, and at once where nothing moves."""
    ends = [float(found) for found in re.findall(r"animation-duration:([\d.]+)s", RECORDING)]
    assert len(ends) == len(said(RECORDING))
    assert ends == sorted(ends)
    assert ends[-1] <= PLAYS + 1
    assert "prefers-reduced-motion" in RECORDING


def test_it_tells_the_whole_way() -> None:
    """From data to the proof, and how the page is opened."""
    lines = said(RECORDING)
    done = [line for line in lines if line.startswith("ok    ")]
    assert "training data" in done[0]
    assert "to the last bit" in next(line for line in done if "merged checkpoint" in line)
    assert "http://127.0.0.1" in lines[-1]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_line_is_kept_and_a_bar_is_not(cut: int) -> None:
    """Wherever what is printed is cut when it is read."""
    printed = "\r\x1b[2K\x1b[32m⠋\x1b[0m doing\r\x1b[2K\x1b[32mok\x1b[0m    done\r\n\x1b[?25h\r\r\nWhat\r\n"
    screen = Screen()
    screen.take(printed[:cut], 1.0)
    screen.take(printed[cut:], 2.0)
    assert [moment.text for moment in screen.moments if moment.stays] == ["ok    done", "", "What"]


def test_waits_are_cut_and_lines_stay() -> None:
    """A bar is seen until the next one, or the line that takes its place."""
    moments = [
        Moment(0.1, 0, "⠋ doing", stays=False),
        Moment(90.0, 0, "\x1b[32mok\x1b[0m    <done>", stays=True),
    ]
    picture = draw("make it", moments, "How it is made")
    assert '<text class="now" x="16" y="47" style="animation:seen 1.50s 1.10s">⠋ doing</text>' in picture
    assert 'style="animation-duration:2.60s"><tspan class="g">ok</tspan>    &lt;done&gt;</text>' in picture
    assert said(picture) == ["ok    <done>"]
