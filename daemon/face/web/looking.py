"""Looking at something again and again, at little cost while nothing has changed."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from daemon.core.root import Root
from daemon.face.web.daemon_word import DaemonWord, daemon_word
from daemon.face.web.fingerprints import LASTS, Fingerprint, files_of_store, fingerprint, is_settled
from daemon.face.web.rows import Live

if TYPE_CHECKING:
    from pathlib import Path

_Seen = tuple[Fingerprint, DaemonWord]


class Look:
    """A look at something that is made of the store, the daemon's word, and the files that it names itself.

    It keeps no connection to the store: that would keep the daemon from putting its files away when it ends, and one
    that starts later would not be seen.
    """

    def __init__(self, look: Callable[[], Live], root: Root) -> None:
        self._look = look
        self._root = root
        self._files: tuple[Path, ...] = ()
        self._seen: _Seen | None = None
        """How all stood before the last look; None where that does not tell whether it would show the same now."""
        self._at = 0.0

    def anew(self) -> "Look":
        """Return one at the same that has seen nothing: nobody was told what this one saw, or may still see."""
        return Look(self._look, self._root)

    def news(self) -> Live | None:
        """Return what is shown by now; None where it was looked at and nothing moved since. Raises what a look does."""
        began = time.monotonic()
        seen = self._now()
        if seen is not None and seen == self._seen and began - self._at < LASTS:
            return None
        self._seen = None
        found = self._look()
        if found.made_of == self._files:
            self._seen = seen
        self._files, self._at = found.made_of, began  # of other files nobody knows yet how they stood before
        return found

    def _now(self) -> _Seen | None:
        try:  # the daemon's word says whether it lives: where it was killed no file tells
            files = fingerprint((*files_of_store(self._root.store), *self._files))
        except OSError:  # the look itself says what prevents it
            return None
        return (files, daemon_word(self._root)) if is_settled(files) else None
