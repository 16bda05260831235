"""The marks of nights: one sign each, wherever nights are shown on a terminal."""

from daemon.commands.terminal.table import colour, shows
from daemon.face.nights import Mark
from daemon.face.signs import OF_MARKS
from daemon.face.words.reading import Words

TO_COME = "to come"
_PLAIN = {
    Mark.DONE: ("+", "green"),
    Mark.LATE: ("o", "green"),
    Mark.MISSED: ("o", "green"),
    Mark.NOT_PROMOTED: ("!", "yellow"),
    Mark.FAILED: ("x", "red"),
    Mark.SKIPPED: ("-", "yellow"),
    Mark.RUNNING: (">", "cyan"),
}
_SIGNS = {mark: (OF_MARKS[mark], *plain) for mark, plain in _PLAIN.items()} | {TO_COME: ("·", ".", "")}


def sign(mark: Mark | str) -> str:
    """Return the sign of a mark, in ASCII where standard output has no other."""
    fair, plain, _ = _SIGNS[mark]
    return fair if shows("".join(fair for fair, _, _ in _SIGNS.values())) else plain


def painted(text: str) -> str:
    """Return `text`, of signs, in their colours."""
    colours = {sign(mark): name for mark, (_, _, name) in _SIGNS.items()}
    return "".join(colour(char, name) if (name := colours.get(char)) else char for char in text)


def legend(words: Words) -> str:
    """Return what the signs mean."""
    meanings = {sign(mark): words.say("meanings", mark) for mark in reversed(_SIGNS)}
    return "  ".join(f"{shown} {meaning}" for shown, meaning in reversed(meanings.items()))
