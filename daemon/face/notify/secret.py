"""Text that nobody is to see, in a wrapping that does not show it."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

HIDDEN = "•••"
"""What stands for a secret wherever one would be seen."""

_SHORTEST = 4
"""Shorter pieces are left in what others say: they are in every text, and are no secret by themselves."""
_BETWEEN_PIECES = re.compile(r"[/?#&=@:,;+\s]+")


class Secret:
    """A text that is seen only by who asks for it: no repr, log, format or traceback shows it, and no pickle has it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for what needs it."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> str:
        raise TypeError("a secret does not leave its process")


def redacted(text: str, secrets: Iterable[Secret]) -> str:
    """Return `text` with no part of `secrets` in it: neither a whole one, nor a piece of one that is an address.

    Others repeat what they were sent: a server says which path it does not know, a library which URL it called.
    """
    pieces = {piece for secret in secrets for piece in _pieces(secret.reveal()) if len(piece) >= _SHORTEST}
    for piece in sorted(pieces, key=len, reverse=True):  # the whole before its parts
        text = text.replace(piece, HIDDEN)
    return text


def _pieces(text: str) -> Iterator[str]:
    """Yield `text`, and what it is made of where it is an address or `USER:PASSWORD`, in each way to write it."""
    _, _, address = text.rpartition("://")
    for piece in (text, *address.split(":", 1), *_BETWEEN_PIECES.split(address)):
        for plain in (piece, unquote(piece)):
            yield from (plain, quote(plain), quote(plain, safe=""))
