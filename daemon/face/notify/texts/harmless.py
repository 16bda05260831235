"""What strangers wrote, made harmless for a message: no control characters, no end, and nobody is called by it."""

import re

from daemon.face.cells import cut
from handlers.hidden_keys import HiddenKeys
from handlers.printable import printable

LONGEST = 300
"""Cells of one value."""
_BLANKS = re.compile(r"[ \t\r\n]+")
_CALL = re.compile(r"<(?=[!\uff20#/]|at\b)", re.IGNORECASE)
"""What opens a call of Slack's (`<!channel>`, `<#room>`), WeCom's (`<@all>`) or Feishu's (`<at user_id="all">`)."""


def harmless(text: str, most: int = LONGEST) -> str:
    """Return `text` on one line of at most `most` cells.

    What calls people, as `@all`, gets signs that look alike and call nobody; what looks like a secret is not told.
    """
    looked_at = HiddenKeys().in_lines(text[: 4 * most])
    shown = printable(_BLANKS.sub(" ", looked_at).strip(" "))
    shown = _CALL.sub("\u2039", shown.replace("@", "\uff20"))
    return cut(shown if len(text) <= 4 * most else f"{shown}…", most)
