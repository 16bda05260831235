"""Draws what was seen on a terminal as an SVG that plays by itself, with CSS alone.

Each line is hidden until its time, and a line that does not stay is seen for its time only. So whoever has no
animations, or wants none, sees the end. Colours are the picture's own: it can be read on dark pages and on light ones.
"""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from rich.console import Console
from rich.text import Text

from tests.rehearsal.recording.terminal import Moment

PLAYS = 20.0
"""Seconds that it plays at most."""
LONGEST_WAIT = 1.5
"""Seconds between two changes at most."""
_OFTEN = 0.2
"""Seconds between two states of a bar at least."""
_WIDE, _HIGH, _EDGE = 7.9, 18, 16
"""Pixels of a sign, of a line and around all of them."""
_COLOURS = {"color(2)": "g", "color(5)": "m", "color(8)": "d", "color(9)": "r"}
"""Classes of those that `glmd demo` has on a terminal of sixteen: green, magenta, dark grey, bright red."""
_STYLE = """
rect{fill:#161b22;stroke:#57606a}
text{fill:#e6edf3;white-space:pre;font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.p{fill:#79c0ff}.g{fill:#56d364}.d{fill:#6e7681}.r{fill:#ff7b72}.m{fill:#d2a8ff}
.said{animation:unseen 0s}.now{visibility:hidden}
@keyframes unseen{from,to{visibility:hidden}}
@keyframes seen{from,to{visibility:visible}}
@media(prefers-reduced-motion){.said,.now{animation:none!important}}
"""


def draw(command: str, moments: Sequence[Moment], title: str) -> str:
    """Return the picture: the command, and what came of it."""
    at = _played(moments)
    rows = 1 + sum(moment.stays for moment in moments)
    width = round(2 * _EDGE + _WIDE * max(len(moment.text) for moment in moments))
    height = 2 * _EDGE + _HIGH * rows
    drawn = "\n".join(_lines(moments, at))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" width="{width}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>\n'
        f'<text class="p" x="{_EDGE}" y="{_baseline(-1)}">$ {escape(command)}</text>\n{drawn}\n</svg>\n'
    )


def _played(moments: Sequence[Moment]) -> list[float]:
    """Return when each moment is played: waits are cut, and all of it is made to fit."""
    at, before, shown = [0.0], 0.0, ""
    for moment in moments:
        if moment.text[1:] != shown:  # the first sign of a bar turns all the time
            at.append(at[-1] + min(moment.at - before, LONGEST_WAIT))
            before, shown = moment.at, moment.text[1:]
        else:
            at.append(at[-1])
    faster = min(1.0, PLAYS / at[-1])
    return [1.0 + each * faster for each in at[1:]]


def _lines(moments: Sequence[Moment], at: Sequence[float]) -> Iterator[str]:
    """Yield the elements; of the states of a bar those that are seen long enough."""
    shown = -1.0
    for number, (moment, begins) in enumerate(zip(moments, at, strict=True)):
        place = f'x="{_EDGE}" y="{_baseline(moment.row)}"'
        if moment.stays:
            yield f'<text class="said" {place} style="animation-duration:{begins:.2f}s">{_coloured(moment.line)}</text>'
            shown = -1.0
        elif begins - shown >= _OFTEN:
            ends = _until(moments, at, number)
            if ends > begins:
                animation = f"animation:seen {ends - begins:.2f}s {begins:.2f}s"
                yield f'<text class="now" {place} style="{animation}">{_coloured(moment.line)}</text>'
                shown = begins


def _until(moments: Sequence[Moment], at: Sequence[float], number: int) -> float:
    """Return when the state of a bar is followed by the next that is drawn, or by a line that stays."""
    for later in range(number + 1, len(moments)):
        if moments[later].stays or at[later] - at[number] >= _OFTEN:
            return at[later]
    return at[-1]


def _baseline(row: int) -> int:
    """Return where the letters of a row stand; the command is above the first one."""
    return _EDGE + _HIGH * (row + 2) - 5


def _coloured(line: str) -> str:
    runs: list[tuple[str, str]] = []
    for text, style, _ in Text.from_ansi(line).render(Console(width=1000)):
        colour = style.color.name if style and style.color else ""
        if runs and runs[-1][0] == colour:
            runs[-1] = (colour, runs[-1][1] + text)
        else:
            runs.append((colour, text))
    return "".join(
        f'<tspan class="{_COLOURS[colour]}">{escape(text)}</tspan>' if colour else escape(text) for colour, text in runs
    ).rstrip("\n")
