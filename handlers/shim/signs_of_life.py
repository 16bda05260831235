"""What shows from outside that a training is at work: its logs and shards change."""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.files.listing import listed
from handlers.rank_log.phase import Phase, phase_in
from handlers.records.train_plan import RankPlan

REST = 20.0
"""Times as long as a look took nobody looks again."""
LONGEST_REST = 20.0
"""Seconds; what is hung for minutes is still seen to be."""


@dataclass(frozen=True)
class Sign:
    """Something changed. `phase` is what the log that changed last is at; None when only shards changed."""

    phase: Phase | None


class SignsOfLife:
    """Remembers how the ranks' logs and the files below `checkpoints` looked."""

    def __init__(self, ranks: Sequence[RankPlan], checkpoints: Path) -> None:
        self._ranks = ranks
        self._checkpoints = checkpoints
        names = (checkpoints, *(rank.log for rank in ranks))
        self._absent = {name for name in names if name.is_relative_to(checkpoints.parent)}
        """What was not there yet: ranks of other hosts may make it."""
        self._seen = self._now()

    def look(self) -> Sign | None:
        """Return what has changed since the last look; None when nothing has."""
        now = self._now()
        if now == self._seen:
            return None
        grown = [rank.log for rank in self._ranks if rank.log in now and now[rank.log] != self._seen.get(rank.log)]
        self._seen = now
        return Sign(phase_in(max(grown, key=lambda log: now[log][1])) if grown else None)

    def quietest(self, stopped: Collection[int] = ()) -> RankPlan:
        """Return the rank whose log has not changed for longest: of those that are `stopped`, if any is."""
        return min(self._ranks, key=lambda rank: (rank.number not in stopped, self._seen.get(rank.log, (0, 0))[1]))

    def _now(self) -> dict[Path, tuple[int, int]]:
        """Return size and time of change of each rank's log and of every file below the checkpoints."""
        self._look_for_new()
        shards = (Path(directory, name) for directory, _, names in os.walk(self._checkpoints) for name in names)
        signs = {}
        for path in (*(rank.log for rank in self._ranks), *shards):
            try:
                status = path.stat()
            except OSError:  # not there yet, deleted for a newer shard, or out of reach: no sign, no reason to end
                continue
            signs[path] = (status.st_size, status.st_mtime_ns)
        return signs

    def _look_for_new(self) -> None:
        if self._absent:
            with contextlib.suppress(OSError):  # as above
                self._absent -= listed(self._absent, self._checkpoints.parent)


class Resting:
    """Looks for signs now and then: a thousand logs and directories a second are much for a file server."""

    def __init__(self, signs: SignsOfLife, clock: Callable[[], float] = time.monotonic) -> None:
        self._signs = signs
        self._clock = clock
        self._due = 0.0

    def look(self) -> Sign | None:
        """Return what has changed since the last look; None as well where that was a moment ago."""
        began = self._clock()
        if began < self._due:
            return None
        sign = self._signs.look()
        ended = self._clock()
        self._due = ended + min(REST * (ended - began), LONGEST_REST)
        return sign
