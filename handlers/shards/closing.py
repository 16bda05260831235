"""Whether a shard's writer has closed it, so that what is in it counts."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from handlers.ckpt import Fingerprint
from handlers.host.file_systems import network_file_system
from handlers.shards.writers import Writers, writers_of

QUIET = 10.0
"""Seconds for which a shard must have rested of which nobody knows whether its writer has closed it."""

_WHILE_IT_CLOSES = (0.001, 0.004, 0.015)
"""Seconds between looks at a file that was just closed: the kernel tells of a close a moment before it is done."""


class Closing:
    """What is known of the shards of one tree.

    * Mode 0400 is MindSpore's last act: such a shard is closed.
    * Of one that was left writable the kernel is asked, and open is open for however long.
    * Where the kernel of this host does not know (a network file system; another user's file), one counts that was seen
      to be closed and has not changed since, or that has rested for QUIET seconds.
    """

    def __init__(self, *, by_kernel: bool = True) -> None:
        self._by_kernel = by_kernel
        """Whether the kernel is asked at all; not where a shard is finished only by its mode."""
        self._knows: dict[int, bool] = {}
        """Whether all who write go through this host's kernel, by device number."""
        self._closed: dict[Path, Fingerprint] = {}
        """As what each file was last seen to be closed."""
        self._due: dict[Path, float] = {}
        """When to look again at each shard that may be open still."""

    def why_open(self, path: Path, status: os.stat_result, *, was_closed: bool) -> str:
        """Return why somebody may still write into a shard, for people; empty where nobody does.

        `was_closed` if somebody who wrote into it was seen to close it just now. Raises FileNotFoundError.
        """
        if not status.st_mode & 0o200:
            return ""
        match self._writers(path, status, was_closed=was_closed):
            case Writers.NOBODY:
                return ""
            case Writers.SOMEBODY:
                self._due[path] = time.time() + QUIET
                return (
                    f"{path} is open for writing, and glmd takes it when it is closed; `lsof {path}` says "
                    "who has it open"
                )
            case Writers.UNKNOWN:
                return self._why_restless(path, status, was_closed=was_closed)

    def due(self) -> Iterable[Path]:
        """Return the shards, each once, that may have been closed by now without anybody's telling."""
        now = time.time()
        due = [path for path, when in self._due.items() if when <= now]
        for path in due:
            del self._due[path]
        return due

    def forget(self, path: Path) -> None:
        """Forget a file that is there no more."""
        self._closed.pop(path, None)
        self._due.pop(path, None)

    def _writers(self, path: Path, status: os.stat_result, *, was_closed: bool) -> Writers:
        if status.st_dev not in self._knows:
            self._knows[status.st_dev] = self._by_kernel and network_file_system(path.parent) is None
        if not self._knows[status.st_dev]:
            return Writers.UNKNOWN
        found = writers_of(path)
        for pause in _WHILE_IT_CLOSES if was_closed else ():
            if found is Writers.SOMEBODY:
                time.sleep(pause)
                found = writers_of(path)
        return found

    def _why_restless(self, path: Path, status: os.stat_result, *, was_closed: bool) -> str:
        fingerprint = Fingerprint.of(status)
        if was_closed and self._knows[status.st_dev]:
            self._closed[path] = fingerprint
        rested = status.st_mtime + QUIET
        if self._closed.get(path) == fingerprint or time.time() >= rested:
            return ""
        self._due[path] = rested
        return f"{path} was written {QUIET:.0f} s ago at most and may still be open"
