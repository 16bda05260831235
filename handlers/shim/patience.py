"""The shim's records are written however long the disk is full: a training of days must not be lost for its end."""

import time
from collections.abc import Callable
from typing import TypeVar

from handlers.event_lines import Log
from handlers.passing_errors import may_pass
from handlers.shim.wakeups import Wakeups

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
LAST_PATIENCE = 30.0
"""Seconds for which one that was told to end still tries: less than the unit's TimeoutStopSec= leaves after grace."""

Result = TypeVar("Result")


def patiently(what: str, work: Callable[[], Result], wakeups: Wakeups, log: Log) -> Result:
    """Return what `work` does, tried again until no error that may pass stands in its way.

    Raises OSError for one that cannot pass, and for any when the shim has been told to end and some time has gone by.
    """
    pause, deadline = FIRST_PAUSE, time.monotonic() + LAST_PATIENCE
    while True:
        try:
            return work()
        except OSError as error:
            now = time.monotonic()
            if wakeups.stop is None:
                deadline = now + LAST_PATIENCE
            if not may_pass(error) or now >= deadline:
                raise
            log.error("fault", what=what, reason=str(error), again_in_seconds=pause)  # noqa: TRY400 - it says it all
            until = now + pause
        while (left := until - time.monotonic()) > 0:
            wakeups.wait(left)  # ends early for each process that ends, too
        pause = min(2 * pause, LONGEST_PAUSE)
