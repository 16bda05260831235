"""A log by bytes: a piece of it at a time, cut where lines end, each line with the byte that it begins at."""

import io
import os
from dataclasses import dataclass, replace

from daemon.face.below import piece
from daemon.face.event_lines import event_line, last_state
from daemon.face.web.log_masks import masked
from handlers.hidden_keys import HiddenKeys
from handlers.printable import printable_lines
from handlers.rank_log.tail import without_sequences

PIECE = 1 << 16
"""Bytes at a time."""
_LOOK_BACK = 1 << 12
"""Bytes before a place in which its line's beginning is looked for: in longer lines it is the place itself."""
_LONGEST_CHARACTER = 4
"""Bytes of UTF-8."""


@dataclass(frozen=True)
class Line:
    """A line, or what of a very long one lies in the piece."""

    at: int
    """The byte that it begins at."""
    content: bytes
    """Without the line's end."""

    def text(self, needle: str = "", *, is_event: bool = False) -> str:
        """Return it as people read it: nothing in it drives a terminal or turns the page's text around.

        Of a bar that was written over itself, its last state is shown; or, of those that have it, that with `needle`.
        """
        decoded = self.content.decode("utf-8", "replace")
        if is_event:
            return event_line(decoded)
        if needle and "\r" in decoded:
            states = reversed(decoded.split("\r"))
            decoded = next((state for state in states if needle.lower() in state.lower()), decoded)
        return printable_lines(without_sequences(last_state(decoded)))


@dataclass(frozen=True)
class Piece:
    """Some lines that follow each other."""

    start: int
    end: int
    size: int
    """Of the whole log, in bytes."""
    lines: tuple[Line, ...]
    next: int
    """From where on there will be more: the end, or the beginning of a line that is not written to its end yet."""


def piece_from(stream: io.FileIO, at: int) -> Piece:
    """Return the piece that begins with the line in which byte `at` lies; behind the end, the last one.

    Raises OSError.
    """
    size = size_of(stream)
    if at >= size:
        return piece_before(stream, size)
    start = line_start(stream, at)
    content = piece(stream, start, PIECE)
    if start + len(content) < size:
        content = content[: content.rfind(b"\n") + 1] or _whole_characters(content)
    return _of(start, content, size)


def piece_before(stream: io.FileIO, end: int) -> Piece:
    """Return the piece that ends before byte `end`. Raises OSError."""
    size = size_of(stream)
    end = min(end, size)
    start = max(0, end - PIECE)
    content = piece(stream, start, end - start)
    if start > 0:
        cut = content.find(b"\n") + 1
        if not 0 < cut < len(content):  # within one line that is longer than a piece
            cut = next((place for place, byte in enumerate(content[:_LONGEST_CHARACTER]) if byte & 0xC0 != 0x80), 0)
        start, content = start + cut, content[cut:]
    return _of(start, content, size)


def shown(stream: io.FileIO, found: Piece, hidden: HiddenKeys) -> Piece:
    """Return a piece as it may be shown. Raises OSError."""
    content = masked(stream, found.start, b"\n".join(line.content for line in found.lines), hidden)
    lines = zip(found.lines, content.split(b"\n"), strict=True)
    return replace(found, lines=tuple(replace(line, content=text) for line, text in lines)) if found.lines else found


def line_start(stream: io.FileIO, at: int) -> int:
    """Return where the line begins in which byte `at` lies, as far as that is near. Raises OSError."""
    begin = max(0, at - _LOOK_BACK)
    end = piece(stream, begin, at - begin).rfind(b"\n")
    if end < 0:
        return at if begin > 0 else 0
    return begin + end + 1


def size_of(stream: io.FileIO) -> int:
    """Return how many bytes an open file has now. Raises OSError."""
    return os.fstat(stream.fileno()).st_size


def _of(start: int, content: bytes, size: int) -> Piece:
    lines = []
    at = start
    for part in content.split(b"\n"):
        lines.append(Line(at, part))
        at += len(part) + 1
    ends_whole = not lines[-1].content
    rest = lines.pop() if ends_whole else lines[-1]
    end = start + len(content)
    return Piece(start, end, size, tuple(lines), rest.at if end >= size and len(rest.content) < PIECE else end)


def _whole_characters(content: bytes) -> bytes:
    """Return the bytes without a character at their end that is cut off."""
    for back in range(1, _LONGEST_CHARACTER):
        byte = content[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        return content[:-back] if length > back else content
    return content
