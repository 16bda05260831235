"""A curve as a picture: SVG, for a page without scripts, a README, a chat."""

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

WIDTH, HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 24
"""Pixels around the curve."""
COLOURS = ("#0b5cad", "#b3261e", "#1a7036", "#8a5300", "#7b3fa0", "#00707a")
DARK = ("#7cbcff", "#ff8f86", "#6cc98a", "#f2b85c", "#d4a5f0", "#5fd0da")
DASHES = ("none", "6 4")
"""Of the first six curves, and of the six behind them; style sheets and compare.js have the same."""
Point = tuple[float, float]


def svg(points: Sequence[Point], title: str, vain: Sequence[Point] = (), width: int = WIDTH) -> str:
    """Return a picture of `points`, with what was trained in vain dim behind them; `width` is in pixels.

    Control characters of the title, which XML has no way to write, are left out. Numbers
    that are not finite are gaps. Its colours follow the reader's: dark on light, or light on dark.
    """
    printable = "".join(character for character in title if character.isprintable())
    return svg_of_several([("vain", vain), ("", points)], printable, width)


def svg_of_several(curves: Sequence[tuple[str, Sequence[Point]]], title: str, width: int = WIDTH) -> str:
    """Return a picture of several curves on one scale, each of the class that stands before it.

    The classes s0 … s11 have a colour and a dash of their own.
    """
    return "\n".join(_parts(curves, title, width)) + "\n"


def _parts(curves: Sequence[tuple[str, Sequence[Point]]], title: str, width: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">'
    )
    yield (
        "<style>svg{background:#fff;color:#1a1d21}path{fill:none;stroke:#0b6bcb;stroke-width:1.5}.vain{opacity:.35}"
        "text{font:12px system-ui,sans-serif;fill:currentColor}line{stroke:currentColor;opacity:.25}"
        "@media(prefers-color-scheme:dark){svg{background:#14171a;color:#e6e8eb}path{stroke:#6cb4ff}}"
        f"{_styles(kind for kind, _ in curves)}</style>"
    )
    yield f"<title>{escape(title, quote=False)}</title>"
    shown = [point for _, points in curves for point in points if math.isfinite(point[1])]
    if not shown:
        yield f'<text x="{width // 2}" y="{HEIGHT // 2}" text-anchor="middle">–</text></svg>'
        return
    left, right = min(x for x, _ in shown), max(x for x, _ in shown)
    low, high = min(y for _, y in shown), max(y for _, y in shown)

    def place(point: Point) -> str:
        across = (point[0] - left) / (right - left or 1)
        up = (point[1] - low) / (high - low or 1)
        x = _LEFT + across * (width - _LEFT - _RIGHT)
        y = HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)
        return f"{x:.1f},{y:.1f}"

    bottom = HEIGHT - _BOTTOM
    yield f'<line x1="{_LEFT}" y1="{bottom}" x2="{width - _RIGHT}" y2="{bottom}"/>'
    yield f'<line x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{bottom}"/>'
    for kind, series in curves:
        for piece in _pieces(series):
            yield f'<path class="{kind}" d="M{" L".join(place(point) for point in piece)}"/>'
    yield f'<text x="{_LEFT - 6}" y="{_TOP + 10}" text-anchor="end">{high:.4g}</text>'
    yield f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">{low:.4g}</text>'
    yield f'<text x="{_LEFT}" y="{HEIGHT - 6}">{left:.15g}</text>'
    yield f'<text x="{width - _RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{right:.15g}</text></svg>'


def _styles(kinds: Iterable[str]) -> str:
    """Return what tells these curves from each other, on light and on dark."""
    found = {kind: int(kind[1:]) for kind in kinds if kind[:1] == "s"}
    light = "".join(
        f".{kind}{{stroke:{COLOURS[place % len(COLOURS)]};stroke-dasharray:{DASHES[place // len(COLOURS)]}}}"
        for kind, place in found.items()
    )
    dark = "".join(f".{kind}{{stroke:{DARK[place % len(DARK)]}}}" for kind, place in found.items())
    return f"{light}@media(prefers-color-scheme:dark){{{dark}}}" if found else ""


def _pieces(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield the stretches between gaps."""
    piece: list[Point] = []
    for point in points:
        if math.isfinite(point[1]):
            piece.append(point)
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece
