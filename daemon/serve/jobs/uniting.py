"""What people and the daemon are told while the shards of a save are united, which may take minutes."""

import time

from structlog.typing import FilteringBoundLogger

from handlers.host.reach import is_at_work, tell
from handlers.shards.names import Tag
from handlers.units.byte_sizes import format_size

TELL_EVERY = 1.0
"""Seconds between two words, at least."""


class Uniting:
    """Logs the progress of a save, and lets the daemon know: what is done, and that nothing hangs."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._due = 0.0

    def __call__(self, tag: Tag, done: int, total: int) -> None:
        """Take note that so many bytes are written of so many in all."""
        now = time.monotonic()
        if now < self._due and done < total:
            return
        self._due = now + TELL_EVERY
        is_at_work()
        self._log.info("uniting_progress", tag=str(tag), done=done, total=total)
        size = f"{done / total:.0%} of {format_size(total)}"
        tell(f"unites what the ranks saved as {tag}, to resume from it: {size}")
