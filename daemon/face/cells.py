"""The room that text takes: on a terminal, and on a lock screen, where a Chinese character is as wide as two others."""

import unicodedata

_JOINER = "\u200d"
_SKIN = range(0x1F3FB, 0x1F400)
"""Emoji modifiers, which change the one before."""


def cells(text: str) -> int:
    """Count the cells of `text`: Chinese characters take two."""
    return len(text) if text.isascii() else sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, room: int) -> str:
    """Return `text` in at most `room` cells, with … for what was cut off: never within a character and its marks."""
    if len(text) <= room and cells(text) <= room:
        return text
    kept, free = 0, room - 1
    for char in text[:room]:
        free -= cells(char)
        if free < 0:
            break
        kept += 1
    while kept and _belongs_to_the_one_before(text[kept : kept + 1], text[kept - 1]):
        kept -= 1
    return f"{text[:kept]}…"


def _belongs_to_the_one_before(char: str, before: str) -> bool:
    if not char:
        return False
    return _JOINER in {before, char} or unicodedata.category(char)[0] == "M" or ord(char) in _SKIN
