"""The content of a tensor that is put together from rows of parameters."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from handlers.ckpt.copying.updated import ParameterContent
from handlers.ckpt.planning.assembled import Assembled, Rows
from handlers.ckpt.planning.plan import Parameter

_Run: TypeAlias = tuple[ParameterContent, int]
"""What gives the next bytes, and how many."""


class AssembledContent:
    """Reads an assembled tensor, first byte to last, in portions of any size; `content_of` gives what reads a source.

    No more is held in memory than a source's own content holds.
    """

    def __init__(self, assembled: Assembled, content_of: Callable[[Parameter], ParameterContent]) -> None:
        self._runs = (run for rows in assembled.rows for run in _runs(rows, content_of))
        self._content: ParameterContent | None = None
        self._left = 0
        """Bytes of the run."""

    def fill(self, view: memoryview) -> None:
        """Fill `view` with the next bytes. Raises what the sources' contents raise."""
        while view:
            if self._content is None or not self._left:
                self._content, self._left = next(self._runs)
                continue
            count = min(len(view), self._left)
            self._content.fill(view[:count])
            view = view[count:]
            self._left -= count


def _runs(rows: Rows, content_of: Callable[[Parameter], ParameterContent]) -> Iterator[_Run]:
    """Yield the runs of `rows` one after the other; each content is read, or skipped, forwards only."""
    content = content_of(rows.of)
    content.skip(rows.first * rows.row)
    if not rows.head:
        yield content, rows.count * rows.row
        return
    half = rows.head // 2
    other = content_of(rows.of)
    other.skip((rows.first + half) * rows.row)
    for number in range(rows.count // rows.head):
        if number:  # behind the last one there may be nothing to pass over
            content.skip(half * rows.row)
            other.skip(half * rows.row)
        for _ in range(half):
            yield content, rows.row
            yield other, rows.row
