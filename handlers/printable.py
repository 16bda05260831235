"""Text of strangers, made harmless to show: names, reasons and log lines that others wrote cannot drive a terminal."""

import json
import re

_DRIVES_A_TERMINAL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What a terminal obeys or an encoder refuses; JSON writes most of it as it is."""


def printable(text: str) -> str:
    r"""Return `text` on one line: control characters, line ends, direction marks, undecodable bytes as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_lines(text: str) -> str:
    """Return `text` as `printable` does, but for its line ends and tabs, which stay."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def printable_json(text: str) -> str:
    """Return JSON that means the same as `text`, with escapes for what a terminal would obey."""
    return _DRIVES_A_TERMINAL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def to_json(value: object, *, indent: int | None = 2) -> str:
    """Return `value` as JSON for programs and terminals alike; words in any language stay as they are."""
    return printable_json(json.dumps(value, indent=indent, ensure_ascii=False, default=str))
