"""Text for terminals and pipes: aligned columns, colours."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from daemon.face.cells import cells, cut
from handlers.printable import printable

PAGE = 1000
"""Rows that are held at a time."""
Paint = Callable[[int, str], str]
"""Returns a padded cell, given its column, in colour."""

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}
"""By ECMA-48, as typer has them; but for status it need not be loaded."""
NARROWEST = 20
"""Cells that the last column keeps as long as others can give way."""
WIDEST = 1000
"""Cells that the last column has at most where no terminal sets a bound."""


def one_line(text: str) -> str:
    """Return `text` as one `printable` line; of several lines, whose layout is lost, the blanks go, too."""
    return printable(" ".join(re.findall(r"[^ \n]+", text)) if "\n" in text else text)


def shows(signs: str) -> bool:
    """Say whether standard output takes these signs: some locales' encodings have not all of them."""
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def colour(text: str, name: str) -> str:
    """Return `text` in a colour, where standard output is a terminal that wants colours (https://no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_COLOURS[name]}m{text}\x1b[0m"


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: frozenset[int] = frozenset(),
    paint: Paint = lambda _, cell: cell,
) -> Iterator[str]:
    """Yield the lines of a table, one a row; columns in `right` are flush right.

    Rows are asked for by pages: a column of a long table gets wider at the page that needs it.

    On a terminal they are cut to fit. Elsewhere only the last column is, and far behind what anybody reads there, so
    that grep finds everything.
    """
    last = len(header) - 1
    widest = [0] * len(header)
    asked = iter(rows)
    page = [header, *islice(asked, PAGE)]
    while page:
        lines = [[one_line(cell) for cell in row] for row in page]
        widest = [max(widest[column], *(cells(line[column]) for line in lines)) for column in range(len(header))]
        widths = _widths(widest)
        for line in lines:
            fitting = (cut(cell, width) for cell, width in zip(line, widths, strict=True))
            padded = (_pad(cell, widths[i], right=i in right, at_end=i == last) for i, cell in enumerate(fitting))
            yield "  ".join(paint(i, cell) for i, cell in enumerate(padded)).rstrip()
        page = list(islice(asked, PAGE))


def _widths(widest: Sequence[int]) -> list[int]:
    """Return the columns' widths: those of their widest cells, as far as there is room."""
    if sys.stdout.isatty():
        return _fitted(widest, shutil.get_terminal_size().columns - 2 * (len(widest) - 1))
    return [*widest[:-1], min(widest[-1], WIDEST)]


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """Return `widths` with a sum of at most `room`: the last column gives way first, then whichever is widest."""
    fitted = [*widths[:-1], min(widths[-1], max(NARROWEST, room - sum(widths[:-1])))]
    while sum(fitted) > room and max(fitted) > 1:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _pad(text: str, width: int, *, right: bool, at_end: bool) -> str:
    blanks = " " * (width - cells(text))
    return blanks + text if right else text if at_end else text + blanks
