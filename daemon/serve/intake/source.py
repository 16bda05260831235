"""Where work comes from: dropped files, watched trees, the clock of nights; each a module, behind one Protocol."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks."""

    monotonic: float
    """By which all is measured that takes its time: nobody sets it."""
    wall: datetime
    """By which nights come, in UTC."""

    @classmethod
    def now(cls) -> Self:
        """Read them."""
        return cls(time.monotonic(), datetime.now(UTC))


Clock = Callable[[], Moment]
"""Tells what time it is; a month may so pass in minutes."""


class WorkSource(Protocol):
    """A way in which work comes. It ends with a job in the store, or with a file in the inbox, which is another way.

    * Each piece of work has a name of its own (a claim's token, a tree's very shards, the time of a night) that the
      store keeps, or the file is called by: seen twice, by this daemon or by the next one, it is one job.
    * A daemon may be killed between any two steps that last. What the next one finds it goes on with from there; doing
      a step once more is harmless. The last step says that all others are done.
    * What is wrong with one piece is about that piece: `Faults` leaves it alone for a moment and tells of it, and it
      holds up no other. Nothing is lost by it, and nothing is made of half of it.
    * Nothing here waits. What touches paths of strangers, and may hang for ever, is done apart, by a worker; what came
      of it is taken when `Workers.deliver` calls back, in the loop's thread like all else.
    """

    @property
    def name(self) -> str:
        """What faults of the whole source are told by."""

    def turn(self, now: Moment, /) -> None:
        """Take every step that can be taken at `now`.

        Raises OSError where the whole source fails and a later turn may succeed, and what the store raises where that
        fails as a whole: then nothing else is to be tried either.
        """

    def next_due(self, now: Moment, /) -> float | None:
        """Return in how many seconds from `now` there is something to do, if nothing wakes the loop before.

        None where nothing is; never less than 0, and 0 only where there is something to do at once.
        """
