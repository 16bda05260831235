"""Whether somebody on another host lives, by a counter in a file: no two clocks are compared."""

from handlers.shim.limit_clock import LONGEST_LOOK


class Pulse:
    """For how long a counter has stood still, by looks that came to see it.

    Only time between two looks counts, and only so much as there should be: not while the looking process is stopped,
    nor while the file server does not answer. A training of days must not die of three minutes without NFS.
    """

    def __init__(self, now: float) -> None:
        self._looked = now
        self._seen: int | None = None
        self.still = 0.0
        """Seconds."""

    def look(self, seq: int, now: float) -> None:
        """Take note of what the counter says at `now`, in monotonic seconds."""
        self.still = 0.0 if seq != self._seen else self.still + min(now - self._looked, LONGEST_LOOK)
        self._seen = seq
        self._looked = now

    def miss(self, now: float) -> None:
        """Take note that the file could not be read at `now`: that time does not count."""
        self._looked = now
