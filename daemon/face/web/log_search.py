"""Looks for bytes in a log, at a bounded cost however long the log is: anyone who wants more asks to go on."""

import io
import time
from dataclasses import dataclass

from daemon.face.below import piece
from daemon.face.web.log_masks import is_shown
from daemon.face.web.log_pieces import size_of
from handlers.hidden_keys import NOTHING_HIDDEN, HiddenKeys

MOST = 64 << 20
"""Bytes that one request looks through."""
WITHIN = 1.0
"""Seconds after which it stops, too: of a disk that is slow."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Found:
    """What came of a search."""

    at: int | None
    """Where the bytes begin; None where they were not found."""
    looked_to: int
    """Up to where it looked."""
    is_over: bool
    """Whether it looked to the log's end, or its beginning."""


def look_forward(
    stream: io.FileIO, needle: bytes, start: int, *, any_case: bool, hidden: HiddenKeys = NOTHING_HIDDEN
) -> Found:
    """Look for `needle` from byte `start` on, in what is shown. Raises OSError."""
    needle, until = _as_compared(needle, any_case), time.monotonic() + WITHIN
    size, at = size_of(stream), start
    while at < size:
        if at - start >= MOST or time.monotonic() > until:
            return Found(None, at, is_over=False)
        content = _as_compared(piece(stream, at, _CHUNK + len(needle) - 1), any_case)
        place = content.find(needle)
        if place < 0:
            at += _CHUNK
        elif is_shown(stream, at + place, len(needle), hidden):
            return Found(at + place, at + place, is_over=False)
        else:
            at += place + 1
    return Found(None, size, is_over=True)


def look_back(
    stream: io.FileIO, needle: bytes, end: int, *, any_case: bool, hidden: HiddenKeys = NOTHING_HIDDEN
) -> Found:
    """Look for the last `needle` that begins before byte `end`, in what is shown. Raises OSError."""
    needle, until = _as_compared(needle, any_case), time.monotonic() + WITHIN
    end = at = min(end, size_of(stream))
    while at > 0:
        if end - at >= MOST or time.monotonic() > until:
            return Found(None, at, is_over=False)
        start = max(0, at - _CHUNK)
        content = _as_compared(piece(stream, start, at - start + len(needle) - 1), any_case)
        place = content.rfind(needle)
        if place >= 0 and is_shown(stream, start + place, len(needle), hidden):
            return Found(start + place, start + place, is_over=False)
        at = start + max(0, place)
    return Found(None, 0, is_over=True)


def _as_compared(content: bytes, any_case: bool) -> bytes:  # noqa: FBT001 - what it is about
    return content.lower() if any_case else content
