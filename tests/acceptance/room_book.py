"""What may go of the jobs of some nights, and what may not: told by what a test has done and seen, not by glmd's code.

The rules are those of issue 13. What must stay and what may stay differ where the book cannot know which of two is
meant; a part that must stay and goes is a fault, and so is one that is there though it may not stay.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

LAST, DAILY, BEST, ROLLBACK = 2, 3, 1, 1
FAILED = timedelta(days=3)
YOUNG = timedelta(hours=1)
RETENTION = {
    "keep": {"last": LAST, "daily": DAILY, "weekly": 0, "monthly": 0, "best": BEST, "rollback": ROLLBACK},
    "shards": {"failed": f"{FAILED.days}d"},
}
"""The setting."""
SHARDS, MERGED = "shards", "merged"
Part = tuple[int, str]
"""The number of a job, and what of it."""


@dataclass
class Entry:
    """A job, as the book has it."""

    id: int
    cycle: str
    """Empty where somebody dropped it."""
    prefix: str
    rounds: int
    """That it trains: with more of them its loss is lower."""
    began: datetime
    """When it was due; of what somebody dropped, when it was taken in."""
    state: str = ""
    is_over: bool = False
    reads: int | None = None
    """From whose output its training goes on."""

    @property
    def is_retryable(self) -> bool:
        """Whether somebody may ask for a retry."""
        return self.state in {"failed", "cancelled"}


@dataclass
class Book:
    """What has happened so far."""

    entries: dict[int, Entry] = field(default_factory=dict)
    led: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """To which jobs `latest/PREFIX` has led, each time, the newest last; what was taken back is left out."""
    there: set[Part] = field(default_factory=set)
    """What is on the disk."""
    strange: set[Part] = field(default_factory=set)
    """Where somebody has put something."""
    first: int = 0
    """The first job that came since glmd can prune."""

    def leads(self, prefix: str, job: int, *, is_rollback: bool) -> None:
        """Note that the link was seen to lead to a job."""
        way = self.led[prefix]
        if way[-1:] == [job]:
            return
        if is_rollback and job in way:
            while way[-1] != job:
                way.pop()
            return
        way.append(job)

    def rollbacks(self, prefix: str) -> list[int]:
        """Return to which jobs `latest/PREFIX` leads, and could be led back."""
        return list(dict.fromkeys(reversed(self.led[prefix])))[: 1 + ROLLBACK]

    def must_stay(self, now: datetime) -> set[Part]:
        """Return what nothing may remove at that time."""
        return self.there & {
            *self.strange,
            *((job, MERGED) for prefix in self.led for job in self.rollbacks(prefix)),
            *((one.reads, MERGED) for one in self._readers(now) if one.reads is not None),
            *((one.id, part) for one in self.entries.values() if self._is_new(one, now) for part in (SHARDS, MERGED)),
            *(part for group in self._groups() for part in self._of_group(group, now)),
        }

    def may_stay(self, now: datetime) -> set[Part]:
        """Return what may be there at that time when all is removed that goes by itself."""
        return {
            *self.must_stay(now),
            *(part for group in self._groups() for part in self._in_doubt(group, now)),
            *(
                (one.id, part)
                for one in self.entries.values()
                if not self.is_automatic(one)
                for part in (SHARDS, MERGED)
            ),
        }

    def is_automatic(self, one: Entry) -> bool:
        """Say whether glmd may prune a job without being asked."""
        return bool(one.cycle) and one.id >= self.first

    def _readers(self, now: datetime) -> Iterator[Entry]:
        for one in self.entries.values():
            if not one.is_over or (one.is_retryable and now - one.began <= FAILED):
                yield one

    def _is_new(self, one: Entry, now: datetime) -> bool:
        return not one.is_over or now - one.began < YOUNG

    def _groups(self) -> Iterable[list[Entry]]:
        """Return the jobs of each cycle and prefix that are over, the newest first."""
        groups = defaultdict(list)
        for one in sorted(self.entries.values(), key=lambda one: (one.began, one.id), reverse=True):
            if one.is_over:
                groups[one.cycle, one.prefix].append(one)
        return groups.values()

    def _is_promoted(self, one: Entry) -> bool:
        return any(one.id in way for way in self.led.values())

    def _of_group(self, group: list[Entry], now: datetime) -> Iterator[Part]:
        with_shards = [one for one in group if (one.id, SHARDS) in self.there]
        promoted = [one for one in with_shards if self._is_promoted(one)]
        others = [one for one in with_shards if not self._is_promoted(one)]
        yield from ((one.id, SHARDS) for one in (*promoted[:1], *others[:1]))
        yield from ((one.id, SHARDS) for one in others if now - one.began <= FAILED)
        merged = [one for one in group if (one.id, MERGED) in self.there]
        good = [one for one in merged if self._is_promoted(one)]
        yield from ((one.id, MERGED) for one in (*merged[:LAST], *_newest_of_days(good, DAILY)))
        longest = max((one.rounds for one in good), default=0)
        best = [one for one in good if one.rounds == longest]
        yield from ((one.id, MERGED) for one in best if len(best) == 1)

    def _in_doubt(self, group: list[Entry], now: datetime) -> Iterator[Part]:
        merged = [one for one in group if (one.id, MERGED) in self.there]
        bad = [one for one in merged if not self._is_promoted(one)]
        yield from ((one.id, MERGED) for one in bad[:1])
        yield from ((one.id, MERGED) for one in bad if now - one.began <= FAILED)
        longest = max((one.rounds for one in merged), default=0)
        yield from ((one.id, MERGED) for one in merged if one.rounds == longest)
        good = max((one.rounds for one in merged if self._is_promoted(one)), default=0)
        yield from ((one.id, MERGED) for one in merged if one.rounds == good)


def _newest_of_days(newest: Iterable[Entry], count: int) -> list[Entry]:
    found: dict[date, Entry] = {}
    for one in newest:
        found.setdefault(one.began.date(), one)
    return list(found.values())[:count]
