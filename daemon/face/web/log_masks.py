"""Pieces of a log without what is not shown: a `*` for each such byte, so that every other stays where it is.

A rank may print its configuration, in one line of any length: what is asked for is seen with its line's beginning.
"""

import io

from daemon.face.below import piece
from handlers.hidden_keys import HiddenKeys

_BEFORE = 1 << 16
"""Bytes before a piece that it is seen with: its line's beginning, and a key whose value the next line is."""
_BEHIND = 1 << 12
"""Bytes behind it in which its last line's end is looked for: a login in a URL is told by what follows it."""


def masked(stream: io.FileIO, start: int, content: bytes, hidden: HiddenKeys) -> bytes:
    """Return `content`, which lies at byte `start` of the log, as it may be shown. Raises OSError."""
    if not content:
        return content
    begin = max(0, start - _BEFORE)
    before = piece(stream, begin, start - begin)
    behind = b"" if content.endswith(b"\n") else piece(stream, start + len(content), _BEHIND).partition(b"\n")[0]
    return hidden.masked(before + content + behind)[len(before) : len(before) + len(content)]


def is_shown(stream: io.FileIO, start: int, size: int, hidden: HiddenKeys) -> bool:
    """Say whether all of these bytes are shown: what is not must not be found either. Raises OSError."""
    content = piece(stream, start, size)
    return masked(stream, start, content, hidden) == content
