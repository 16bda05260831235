"""The keys, and how to begin."""

from dataclasses import dataclass

from daemon.face.web.asking import Asked, Page

_KEYS = ("g n", "g m", "g j", "g d", "j", "k", "Enter", "x", "/", "l", "c", "t", "?")


@dataclass(frozen=True)
class Manual:
    """What the page shows."""

    keys: tuple[tuple[str, str], ...]


def manual(asked: Asked) -> Page:
    """Return the page."""
    keys = tuple((key, asked.words.say("keys", key)) for key in _KEYS)
    return Page("help.html", asked.say("help"), Manual(keys))
