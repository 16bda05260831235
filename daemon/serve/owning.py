"""One daemon a root, where several hosts see the root: glmd.owner says whose it is, and that it lives.

The kernel's lock counts on one host. A daemon of another one shows that it lives by a number that grows.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from daemon.core.owner import ElsewhereError, Owner, OwnerError, read_owner
from daemon.core.root import Root
from daemon.core.settings import Settings, SettingsError
from daemon.core.store_place import is_unshared, unfit
from daemon.serve.loop.singleton import AlreadyRunningError, LockLostError
from handlers.ckpt.files.durable import make_directory, publish_bytes

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BEAT = 10.0
"""Seconds between two signs of life."""
SILENCE = 45.0
"""Seconds without one after which a daemon of another host counts as gone."""
_LOOK_EVERY = 1.0
_MARK = "glmd.root"
"""In a directory of `store:`: the root whose store it is."""


def refuse_unfit(settings: Settings, root: Root) -> None:
    """Raise SettingsError where the store may not lie where `root` has it; warn where nodes may not see the root."""
    if why := unfit(settings, root):
        raise SettingsError(why)
    if is_unshared(settings, root):
        reason = "nodes have to see it at the same path: does this host export it to them?"
        log.warning("root_is_of_this_host", path=root.path, reason=reason)


class Owning:
    """Says in glmd.owner that this daemon serves the root, as long as it does. For the loop's thread.

    It does so where the store is not in the root, or once was not: else only one host can serve it.
    """

    def __init__(self, root: Root, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._mine = Owner.now(root.kept)
        self._before = read_owner(root.path)
        self._is_needed = root.kept != root.path or self._before is not None
        self._beaten = 0.0

    def refuse_another(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait until it is certain that no other host's daemon serves the root, and its store is here.

        Raises AlreadyRunningError, ElsewhereError, SettingsError, OwnerError and OSError.
        """
        make_directory(self._root.kept)
        self._refuse_anothers_store()
        before = self._before
        if before is None:
            self._refuse_left_behind(self._root.path)
            return
        if not before.stopped and not before.is_of_the_boot_of(self._mine):
            log.info("waiting_for_silence", host=before.host, seconds=SILENCE)
            self._wait_for_silence(before, sleep)
        if before.host != self._mine.host and not self._root.store.exists():
            raise ElsewhereError(
                f"{self._root.path}: {before.host} served it last, and its store is there ({before.store}). Start glmd "
                f"there; or copy its glmd.db, with -wal and -shm where they are, to {self._root.kept} here. Removing "
                f"{self._root.owner} lets glmd begin with an empty store, which knows no job"
            )
        self._refuse_left_behind(before.store)

    def _wait_for_silence(self, before: Owner, sleep: Callable[[float], None]) -> None:
        since = self._clock()
        while self._clock() - since < SILENCE:
            sleep(_LOOK_EVERY)
            now = read_owner(self._root.path)
            if now is None or now.stopped:
                return
            if now != before:
                raise AlreadyRunningError(
                    f"{self._root.path}: the daemon runs on {now.host} (pid {now.pid}); stop it there first "
                    "(systemctl stop glmd), or give this one another --root"
                )

    def _refuse_left_behind(self, place: Path) -> None:
        """Raise SettingsError where the store lies in another place than the settings say."""
        there, wanted = place / self._root.store.name, self._root.store
        if there == wanted or not there.exists():
            return
        both = f"move away {wanted}, which is there, too; then " if wanted.exists() else ""
        raise SettingsError(
            f"store: it is to be in {wanted.parent}, and is in {place}: stop glmd; {both}mv {there}* {wanted.parent}/"
        )

    def _refuse_anothers_store(self) -> None:
        """Raise SettingsError where the directory of the store is another root's; else let it be this one's."""
        if self._root.kept == self._root.path:
            return
        mark, mine = self._root.kept / _MARK, f"{self._root.path.resolve()}\n"
        with contextlib.suppress(FileNotFoundError):
            if (owner := mark.read_text(encoding="utf-8", errors="replace")) != mine:
                raise SettingsError(
                    f"store: {mark.parent} belongs to the root {owner.strip()!r:.300}, and this one is "
                    f"{self._root.path}: name another directory; or remove {mark}, if that root has become this one"
                )
            return
        publish_bytes(mark, mine.encode())

    def take(self) -> None:
        """Say that the root is this daemon's, which holds the lock. Raises OSError."""
        if self._is_needed:
            self._beat()

    def keep(self) -> None:
        """Give a sign of life where one is due. Raises LockLostError where another host has the root, and OSError."""
        if not self._is_needed:
            return
        try:
            now = read_owner(self._root.path)
        except OwnerError:  # somebody has spoilt it: it is made again, as where it was removed
            now = None
        if now is not None and not now.is_of_the_process_of(self._mine):
            raise LockLostError(f"{self._root.owner}: a daemon on {now.host} (pid {now.pid}) serves this root now")
        if now is None or self._clock() - self._beaten >= BEAT:
            self._beat()

    def seconds_left(self) -> float | None:
        """Return in how many seconds a sign of life is due; None where none is."""
        return max(0.0, self._beaten + BEAT - self._clock()) if self._is_needed else None

    def stop(self) -> None:
        """Say that the daemon ends as it was told to; where it cannot, one of another host waits for silence."""
        try:
            now = read_owner(self._root.path) if self._is_needed else None
            if now is not None and now.is_of_the_process_of(self._mine):
                self._mine = replace(self._mine, stopped=True)
                self._beat()
        except (OSError, OwnerError) as error:
            log.warning("end_not_told", path=self._root.owner, reason=str(error))

    def _beat(self) -> None:
        self._mine = replace(self._mine, seq=self._mine.seq + 1)
        publish_bytes(self._root.owner, self._mine.content(), lasting=self._mine.seq == 1 or self._mine.stopped)
        self._beaten = self._clock()
