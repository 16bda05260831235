"""A curve of numbers as text, in braille: two by four dots a cell, and one cell wide in every language."""

import math
from collections.abc import Iterator, Sequence

WIDTH, HEIGHT = 60, 6
_BLANK = 0x2800
SIGN = chr(_BLANK)
"""Of those that a curve is made of: where it can be shown, curves can."""
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""By row and column within a cell."""
Point = tuple[float, float]


def curve(
    points: Sequence[Point],
    *,
    across: tuple[float, float] | None = None,
    between: tuple[float, float] | None = None,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> Iterator[str]:
    """Yield the lines of a curve, with the highest and the lowest number at its left, and its ends below it.

    It lies `across` the first and the last place, and `between` the lowest and the highest number: those of `points`
    where nothing else is said. Numbers that are not finite are gaps.
    """
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if not finite:
        return
    left, right = across or (points[0][0], points[-1][0])
    low, high = between or (min(y for _, y in finite), max(y for _, y in finite))
    cells = [[0] * width for _ in range(height)]
    for column, (lowest, highest) in _columns(finite, left, right, 2 * width).items():
        top, bottom = (_place(high - y, high - low, 4 * height) for y in (highest, lowest))
        for row in range(top, bottom + 1):
            cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"][-height:]
    margin = max(map(len, labels))
    for label, line in zip(labels, cells, strict=True):
        drawn = "".join(chr(_BLANK + dots) for dots in line).rstrip(SIGN)
        yield f"{label:>{margin}} {drawn}".rstrip()
    begin, end = f"{left:.15g}", f"{right:.15g}"
    yield f"{'':{margin}} {begin}{end:>{max(width - len(begin), len(end) + 1)}}"


def spark(numbers: Sequence[float], width: int = 8) -> str:
    """Return a curve of one line; empty where none of the numbers is finite."""
    points: list[Point] = list(enumerate(numbers))
    finite = [number for number in numbers if math.isfinite(number)]
    if not finite:
        return ""
    lines = list(curve(points, width=width, height=1))
    return lines[0].partition(" ")[2].strip() if lines else ""


def _columns(points: Sequence[Point], left: float, right: float, columns: int) -> dict[int, tuple[float, float]]:
    """Return the lowest and the highest number of each column of dots that has one."""
    found: dict[int, tuple[float, float]] = {}
    for x, y in points:
        column = _place(x - left, right - left, columns)
        lowest, highest = found.get(column, (y, y))
        found[column] = min(lowest, y), max(highest, y)
    return found


def _place(part: float, whole: float, places: int) -> int:
    """Return which of `places` equal parts of `whole` holds `part`."""
    if whole <= 0 or not math.isfinite(whole):
        return 0
    return max(0, min(places - 1, int(part / whole * places)))
