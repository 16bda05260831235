"""When something may be sent: quiet hours, how many messages in which time, and when a try is made again."""

import random
from datetime import datetime, timedelta

from daemon.core.night_hours import NightHours

PAUSES = tuple(map(float, (10, 60, 300, 1800)))
"""Seconds before the next try, after the first one, the second one, …; the last one goes on."""
JITTER = 0.2
"""By how much of itself a pause is longer or shorter: not all who wait for a server come at once."""
LONGEST_PAUSE = 24 * 3600.0
"""That the other side can ask for, in seconds."""
GIVEN_UP = timedelta(days=4)
"""After so long a message is given up: a weekend without a network is shorter, with a holiday beside it, too."""


def is_quiet(hours: NightHours | None, now: datetime) -> bool:
    """Say whether it is within `hours` by the host's clock."""
    if hours is None:
        return False
    time = now.astimezone().time()
    if hours.evening <= hours.morning:
        return hours.evening <= time < hours.morning
    return time >= hours.evening or time < hours.morning


def is_due(due: datetime, now: datetime) -> bool:
    """Say whether it is time; also where the clock was set back, and so the time is too far off to have been meant."""
    return due <= now or due - now > timedelta(seconds=LONGEST_PAUSE * (1 + JITTER))


def next_try(tries: int, again_after: float | None, now: datetime) -> datetime:
    """Return when to try again after so many tries; `again_after` seconds are what the other side asks for."""
    pause = PAUSES[min(max(tries, 1), len(PAUSES)) - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return now + timedelta(seconds=max(pause, min(again_after or 0.0, LONGEST_PAUSE)))


def is_given_up(made: datetime, now: datetime) -> bool:
    """Say whether a message has been tried for long enough."""
    return now - made > GIVEN_UP
