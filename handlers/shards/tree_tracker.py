"""When an output tree's shards are complete, known at each arrival for the work of the one shard that arrives.

Anyone who watches a tree tells its tracker of each path at which something happened. Events can be lost, hence `look`,
which lists the whole tree. Each shard is read once while it stays as it is.
"""

import os
import stat
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from handlers.ckpt import CkptError, Fingerprint, InconsistentError
from handlers.shards.choice import Wanted, nothing_found
from handlers.shards.closing import Closing
from handlers.shards.contents import Contents
from handlers.shards.health import read_health
from handlers.shards.iteration_readiness import iteration_readiness
from handlers.shards.iterations import wants_iteration
from handlers.shards.names import LAST, TRACKER, Shard, parse_tag, rank_directories, rank_of_directory, shards_directory
from handlers.shards.readiness import Arrived, Fit, NotReady, Readiness, Ready, judge, read
from handlers.shards.strategy_files import StrategyFiles
from handlers.shards.tally import OfPrefix


class TreeTracker:
    """Follows what is wanted of one tree, for one thread at a time. Of saves in the new format it hears the tracker.

    `ready` answers as `judge` does for all that is there, in whatever order it came. Making one raises BadInputError
    for a malformed tag.
    """

    def __init__(
        self,
        source: Path,
        *,
        tag: str = LAST,
        prefix: str | None = None,
        ranks: int | None = None,
        strategy: Path | None = None,
        needs_strategy: bool = True,
    ) -> None:
        self._wanted = Wanted(source, parse_tag(tag), prefix, ranks)
        self._strategies = StrategyFiles(source, strategy) if needs_strategy or strategy is not None else None
        self._fit = Fit(None)
        self._directory: Path | None = None
        """Whose rank_N/ hold the shards; None before the tree was listed."""
        self._contents = Contents()
        self._closing = Closing()
        self._arrived: dict[Path, Arrived] = {}
        self._prefixes: defaultdict[str, OfPrefix] = defaultdict(OfPrefix)
        self._ranks: Counter[int] = Counter()
        """How many shards each rank has."""
        self._misplaced: dict[Path, str] = {}
        self._tracked = False
        """Whether the tracker of saves in the new format was written since it was last asked for one."""

    def noticed(self, path: Path) -> None:
        """Take in that something happened at `path`: a shard, a strategy file, or a directory of the tree.

        Raises OSError; what has happened there is then for `look` to find.
        """
        self._take_in(path, closed=False)

    def closed(self, path: Path) -> None:
        """Take in that somebody who wrote into `path` has closed it; raises OSError, as `noticed`."""
        self._take_in(path, closed=True)

    def ready(self) -> Ready | None:
        """Return the shards when they are complete by what was noticed; raises OSError."""
        for path in self._closing.due():
            self._see(path)
        if self._tracked:
            self._tracked = False
            iteration = self._iteration()
            return iteration if isinstance(iteration, Ready) else None
        try:
            fit = self._fitting()
        except CkptError:
            return None
        prefix = self._wanted.prefix or (next(iter(self._prefixes)) if len(self._prefixes) == 1 else None)
        count = fit.ranks or self._wanted.ranks or max(self._ranks, default=-1) + 1
        if prefix is None or prefix not in self._prefixes or self._misplaced:
            return None
        of_prefix = self._prefixes[prefix]
        tag = self._wanted.time or of_prefix.newest(count)
        of_tag = None if tag is None else of_prefix.tags.get(tag)
        if of_tag is None or not of_tag.may_be_ready(count):
            return None
        if of_tag.judged is None or of_tag.judged[:2] != (fit, count):
            ranks = count if self._wanted.ranks is None else self._wanted.ranks
            wanted = replace(self._wanted, tag=tag, prefix=prefix, ranks=ranks)
            of_tag.judged = (fit, count, judge(of_tag.shards.values(), wanted, fit))
        judged = of_tag.judged[2]
        return judged if isinstance(judged, Ready) and not self._objection(judged) else None

    def look(self) -> Readiness:
        """List the whole tree, and say whether the shards are complete, or why not; raises OSError."""
        self._relist()
        iteration = self._iteration()
        if iteration is not None:
            return iteration
        ready = self.ready()
        if ready is not None:
            return ready
        try:
            for reason in self._misplaced.values():
                return NotReady(reason)
            if not self._arrived:
                return NotReady(nothing_found(self._wanted))
            judged = judge(self._arrived.values(), self._wanted, self._fitting())
        except CkptError as error:
            return NotReady(str(error))
        objection = self._objection(judged) if isinstance(judged, Ready) else ""
        return NotReady(objection) if objection else judged

    def _iteration(self) -> Readiness | None:
        """Judge the save in MindFormers' new format that is wanted; None where none is."""
        try:
            meant = wants_iteration(self._wanted.source, str(self._wanted.tag or LAST))
        except CkptError as error:
            return NotReady(str(error))
        return iteration_readiness(self._wanted) if meant else None

    def _objection(self, ready: Ready) -> str:
        """Return why the newest save is not to be merged as such, for people; empty where nothing speaks against it."""
        if self._wanted.time is not None:
            return ""
        try:
            return read_health(self._wanted.source).objection(ready.shards)
        except CkptError as error:
            return str(error)

    def _take_in(self, path: Path, *, closed: bool) -> None:
        self._tracked = self._tracked or path.name == TRACKER
        directory = shards_directory(self._wanted.source, self._wanted.tag)
        if self._directory is None or path == self._wanted.source:
            self._relist()
        elif path == directory or directory != self._directory:
            self._relist_shards()
        if self._strategies is not None and self._strategies.concerns(path):
            self._strategies.noticed(path)
        elif path.parent == directory and rank_of_directory(path) is not None:
            self._list(path)
        elif path.parent.parent == directory and rank_of_directory(path.parent) is not None:
            self._see(path, closed=closed)

    def _fitting(self) -> Fit:
        """Return the strategy as it is now; raises CkptError where there is none, or none that can be used."""
        strategy = None if self._strategies is None else self._strategies.joined()
        if self._fit.strategy is not strategy:
            self._fit = Fit(strategy)
        return self._fit

    def _relist(self) -> None:
        """See everything that is there, and nothing else."""
        self._relist_shards()
        if self._strategies is not None:
            self._strategies.relist()

    def _relist_shards(self) -> None:
        directory = shards_directory(self._wanted.source, self._wanted.tag)
        self._misplaced.clear()
        gone = set(self._arrived)
        for ranks in rank_directories(directory):
            gone -= self._list(ranks)
        for path in gone:
            self._set(path, None)
        self._contents.keep(
            {arrival.content.digest for arrival in self._arrived.values() if arrival.content is not None}
        )
        self._directory = directory

    def _list(self, directory: Path) -> set[Path]:
        """See all shards of a rank; return what is in its directory."""
        try:
            paths = set(directory.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return set()
        for path in paths:
            self._see(path)
        return paths

    def _see(self, path: Path, *, closed: bool = False) -> None:
        """Take in what is at `path`, or that nothing is there any more."""
        self._misplaced.pop(path, None)
        try:
            status = path.stat()
            known = self._arrived.get(path)
            shard = (known.shard if known else Shard.named(path)) if stat.S_ISREG(status.st_mode) else None
            self._set(path, None if shard is None else self._look_at(shard, status, closed=closed))
        except (FileNotFoundError, NotADirectoryError):
            self._set(path, None)
        except InconsistentError as error:
            self._misplaced[path] = str(error)

    def _look_at(self, shard: Shard, status: os.stat_result, *, closed: bool) -> Arrived:
        """Find out whether a shard is closed, and what is in it, unless that is known."""
        fingerprint = Fingerprint.of(status)
        known = self._arrived.get(shard.path)
        if known is not None and known.read != fingerprint:
            known = None
        if problem := self._closing.why_open(shard.path, status, was_closed=closed):
            if known is not None and known.content is not None:
                return replace(known, problem=problem)
            return Arrived(shard, None, None, problem)
        if known is not None:
            return known if known.content is None else replace(known, problem="")
        return read(shard, status, self._contents)

    def _set(self, path: Path, arrived: Arrived | None) -> None:
        """Put a shard in the place of what was known of this path."""
        known = self._arrived.get(path)
        if known == arrived:
            return
        for arrival, by in ((known, -1), (arrived, 1)):
            if arrival is not None:
                self._prefixes[arrival.shard.prefix].change(arrival, by)
                self._ranks[arrival.shard.rank] += by
                if not self._prefixes[arrival.shard.prefix].tags:
                    del self._prefixes[arrival.shard.prefix]
                if not self._ranks[arrival.shard.rank]:
                    del self._ranks[arrival.shard.rank]
        if arrived is None:
            del self._arrived[path]
            self._closing.forget(path)
        else:
            self._arrived[path] = arrived
