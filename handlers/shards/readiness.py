"""Whether the shards of a tag are there, whole, closed, and of one run: judged by what is known of each."""

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from handlers.ckpt import CkptError, CkptFile, Fingerprint, Strategy, check_names
from handlers.ckpt.planning.agreement import check_entries
from handlers.ckpt.planning.redundancy import check_covered, check_redundancy, united
from handlers.shards.choice import Wanted, choose_among
from handlers.shards.contents import Content, Contents
from handlers.shards.names import Shard, Tag


@dataclass(frozen=True, slots=True)
class Arrived:
    """A shard that is there, and what is known of it."""

    shard: Shard
    read: Fingerprint | None
    """The state of the file in which it was read; None where it was not."""
    content: Content | None
    """None where it was not read, or is not whole."""
    problem: str = ""
    """Why it does not count, for people."""


@dataclass(frozen=True)
class Ready:
    """The shards of `tag` and their strategy files are there and whole."""

    prefix: str
    tag: Tag
    shards: tuple[Shard, ...]
    fingerprints: tuple[Fingerprint, ...]
    """Of the shards, as they were when read."""

    @property
    def age(self) -> float:
        """For how many seconds no shard of the tag has changed."""
        return time.time() - max(fingerprint.mtime_ns for fingerprint in self.fingerprints) / 1e9


@dataclass(frozen=True)
class NotReady:
    """What is missing, for people."""

    reason: str


Readiness = Ready | NotReady


class Fit:
    """A strategy, and which contents are known to fit it."""

    def __init__(self, strategy: Strategy | None) -> None:
        """Raise InconsistentError for a strategy that does not say how many ranks a run has."""
        self.strategy = strategy
        self.ranks = None if strategy is None else strategy.ranks
        self._fitting: set[tuple[int, str]] = set()

    def stage(self, rank: int) -> int:
        """Return the pipeline stage of a rank; 0 where no strategy tells of stages."""
        return 0 if self.strategy is None else rank // self.strategy.stage_ranks

    def check(self, arrival: Arrived) -> None:
        """Raise InconsistentError where a shard lacks what the strategy names."""
        if self.strategy is None or arrival.content is None:
            return
        key = self.stage(arrival.shard.rank), arrival.content.digest
        if key not in self._fitting:
            check_names(self.strategy, replace(arrival.content.file, path=arrival.shard.path), arrival.shard.rank)
            self._fitting.add(key)

    def check_together(self, ranks: Sequence[Arrived]) -> None:
        """Raise InconsistentError where shards that leave out replicas lack something together, or do not agree."""
        shards = {
            arrival.shard.rank: replace(arrival.content.file, path=arrival.shard.path)
            for arrival in ranks
            if arrival.content is not None
        }
        check_redundancy(shards.values())
        stages: dict[int, dict[int, CkptFile]] = {}
        for rank, shard in shards.items():
            stages.setdefault(self.stage(rank), {})[rank] = shard
        for stage in stages.values():
            check_entries([*stage.values()])
            if self.strategy is not None:
                check_names(self.strategy, united([*stage.values()]), min(stage))
        if self.strategy is not None:
            check_covered(self.strategy, shards)


def read(shard: Shard, status: os.stat_result, contents: Contents) -> Arrived:
    """Read a shard of this `status`; one that cannot be read does not count. Raises FileNotFoundError."""
    try:
        return Arrived(shard, *contents.of(shard.path))
    except CkptError as error:
        return Arrived(shard, Fingerprint.of(status), None, str(error))
    except FileNotFoundError:
        raise
    except OSError as error:  # of this file alone; that may change without a trace in the fingerprint
        return Arrived(shard, None, None, str(error))


def judge(arrived: Collection[Arrived], wanted: Wanted, fit: Fit) -> Readiness:
    """Tell whether what has arrived is complete.

    A shard counts when its records end exactly at its end, when all ranks of its stage have the same entries, when
    those are what the strategy names, and when its writer has closed it. Where ranks leave out what others save, it is
    what they have together that counts.
    """
    by_path = {arrival.shard.path: arrival for arrival in arrived}
    firsts: dict[int, Arrived] = {}
    try:
        chosen = choose_among([arrival.shard for arrival in arrived], wanted, fit.strategy)
        ranks = [by_path[shard.path] for shard in chosen.shards]
        for arrival in ranks:
            first = firsts.setdefault(fit.stage(arrival.shard.rank), arrival)
            if arrival.problem or arrival.content is None or first.content is None:
                return NotReady(arrival.problem)
            if arrival.content.digest != first.content.digest and not first.content.file.lacks_replicas:
                return NotReady(
                    f"{arrival.shard.path} has other entries than {first.shard.path}: is it still being written?"
                )
        if any(arrival.content is not None and arrival.content.file.lacks_replicas for arrival in ranks):
            fit.check_together(ranks)
        else:
            for first in firsts.values():
                fit.check(first)
    except CkptError as error:
        return NotReady(str(error))
    return Ready(
        chosen.prefix, chosen.tag, chosen.shards, tuple(arrival.read for arrival in ranks if arrival.read is not None)
    )
