"""Counts of a tree's shards, kept at each arrival: they tell, without a look at all shards, when one is worthwhile."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from handlers.shards.names import Tag
from handlers.shards.readiness import Arrived, Fit, Readiness

Key = TypeVar("Key")


def _add(counts: Counter[Key], key: Key, by: int) -> None:
    counts[key] += by
    if not counts[key]:
        del counts[key]


@dataclass(eq=False)
class OfTag:
    """What has arrived of one prefix and tag."""

    shards: dict[Path, Arrived] = field(default_factory=dict)
    judged: tuple[Fit, int, Readiness] | None = None
    """What was found when last judged, and for which strategy and number of ranks; None when a shard has changed."""
    _ranks: Counter[int] = field(default_factory=Counter)
    """How many shards each rank has: of runs one after the other, several."""
    _sound: Counter[int] = field(default_factory=Counter)
    """How many of them count."""

    def change(self, arrived: Arrived, by: int) -> None:
        """Add a shard (`by` 1) or take it away (-1)."""
        shard = arrived.shard
        if by > 0:
            self.shards[shard.path] = arrived
        else:
            del self.shards[shard.path]
        _add(self._ranks, shard.rank, by)
        if not arrived.problem:
            _add(self._sound, shard.rank, by)
        self.judged = None

    def may_be_ready(self, count: int) -> bool:
        """Tell whether `count` ranks have shards, and each of them one that counts."""
        return len(self._ranks) == len(self._sound) == count


class OfPrefix:
    """What has arrived of one prefix."""

    def __init__(self) -> None:
        self.tags: dict[Tag, OfTag] = {}
        self._of_rank: dict[int, Counter[tuple[int, Tag]]] = {}
        self._newest: Counter[Tag] = Counter()
        """How many ranks have this tag as their newest: of the last run, whatever its tag, as its names are bumped."""

    def change(self, arrived: Arrived, by: int) -> None:
        """Add a shard (`by` 1) or take it away (-1)."""
        shard = arrived.shard
        of_tag = self.tags.setdefault(shard.tag, OfTag())
        of_tag.change(arrived, by)
        if not of_tag.shards:
            del self.tags[shard.tag]
        of_rank = self._of_rank.setdefault(shard.rank, Counter())
        if of_rank:
            _add(self._newest, max(of_rank)[1], -1)
        _add(of_rank, (shard.bump, shard.tag), by)
        if of_rank:
            _add(self._newest, max(of_rank)[1], 1)

    def newest(self, count: int) -> Tag | None:
        """Return the tag that is the newest of `count` ranks and of the first; None where there is none."""
        first = self._of_rank.get(0)
        tag = max(first)[1] if first else None
        return tag if tag is not None and self._newest[tag] == count else None
