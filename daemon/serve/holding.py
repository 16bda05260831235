"""What a running daemon holds in its root: the directory itself, the lock, the socket, the store.

Somebody may move, remove or replace each of them under it. The daemon looks before each turn, and decides nothing as
long as it does not hold them all: what it wrote would be lost, or another daemon's.
"""

import contextlib
import os

import structlog

from daemon.core.control import Control
from daemon.core.presence import Presence, presence
from daemon.core.root import Root
from daemon.core.store import Store
from daemon.serve.loop.singleton import AlreadyRunningError, Lock
from daemon.serve.owning import Owning

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Holding:
    """Looks whether they are still there, and makes again what can be made again. Raises OSError."""

    def __init__(self, root: Root, store: Store) -> None:
        self._root = root
        self._store = store
        self._directory = root.path.stat()
        self._besides: tuple[Lock, Control, Owning] | None = None
        self.summary = ""
        """What was written back since the start, for people; empty where nothing was."""

    def hold(self, lock: Lock, control: Control, owning: Owning) -> None:
        """Look after these, too."""
        self._besides = lock, control, owning

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, to look at the latest; None where nothing asks for it."""
        seconds = None if self._besides is None else self._besides[2].seconds_left()
        return None if seconds is None else now + seconds

    def look(self) -> None:
        """See that all is there.

        Raises OSError while the root is away, or something cannot be made again, or sqlite3.Error: it may pass. Raises
        LockLostError or StoreReplacedError where this daemon has to end.
        """
        self._refuse_without_root()
        if self._besides is not None:
            lock, control, owning = self._besides
            lock.keep()
            owning.keep()
            if not control.is_reachable:
                control.listen_again()
                log.warning("socket_made_again", path=self._root.socket, reason="somebody removed or replaced it")
        if removed := self._store.keep():
            names = ", ".join(path.name for path in removed)
            self.summary = f"{names}: removed while glmd runs, and written back"
            log.error("store_written_back", path=self._root.store, removed=names)

    def has_root(self) -> bool:
        """Say whether the root is where it was. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(self._directory, self._root.path.stat())
        return False

    def _refuse_without_root(self) -> None:
        if self.has_root():
            return
        raise FileNotFoundError(
            f"{self._root.path}: moved or removed while glmd serves it; glmd does nothing until it is back; "
            "move it back"
            ", or restart glmd"
        )


def refuse_beside_another(root: Root) -> None:
    """Raise AlreadyRunningError where a daemon answers: its lock file may be gone, and it does not know yet."""
    if presence(root.path) in {Presence.ANSWERS, Presence.BUSY}:
        if root.lock.exists():
            Lock(root.lock).close()  # which names the process that holds it
        raise AlreadyRunningError(
            f"{root.socket}: another glmd serves {root.path}; stop it first (systemctl stop glmd), or give this one "
            "another --root"
        )
