"""The saves in a tree that no rank writes into any more, and which of them are complete."""

import contextlib
from collections import defaultdict
from pathlib import Path

from handlers.ckpt import CkptError, DamagedFileError, InconsistentError
from handlers.shards.choice import Wanted
from handlers.shards.closing import Closing
from handlers.shards.contents import Contents
from handlers.shards.iteration_readiness import iteration_readiness
from handlers.shards.iterations import iterations_directory, iterations_in, read_tracker
from handlers.shards.names import Shard, Tag, find_shards
from handlers.shards.readiness import Arrived, Fit, NotReady, Readiness, Ready, judge, read
from handlers.shards.strategy_files import StrategyFiles


class Saves:
    """Those of one run, by tag. A save's shards are opened when it is asked about, and the strategy files once.

    A shard that was left writable just now counts for unfinished: its rank was ended before it set mode 0400. A tree
    that is not there, or that has a shard where no run puts it, has no saves. For saves in the new format the tracker
    vouches; where it was cut off, the newest of them confirms the others: it was begun when they were complete.
    """

    def __init__(
        self, source: Path, *, prefix: str, ranks: int, needs_strategy: bool, directory_of: Tag | None = None
    ) -> None:
        """List the shards, in the directory for those of the tag `directory_of`; raises OSError."""
        self._wanted = Wanted(source, prefix=prefix, ranks=ranks)
        self._of_tag: defaultdict[Tag, list[Shard]] = defaultdict(list)
        with contextlib.suppress(FileNotFoundError, InconsistentError):
            for shard in find_shards(source, directory_of):
                if shard.prefix == prefix:
                    self._of_tag[shard.tag].append(shard)
        self._iterations = frozenset(iterations_in(source))
        self._strategies = StrategyFiles(source, None) if needs_strategy else None
        self._fit: Fit | None = None
        self._contents = Contents()
        self._closing = Closing(by_kernel=False)

    @property
    def tags(self) -> list[Tag]:
        """The tags that any rank has saved, the newest first."""
        return sorted((*self._of_tag, *self._iterations), reverse=True)

    def look(self, tag: Tag) -> Readiness:
        """Say whether the save `tag` is complete, or why not. Raises OSError."""
        if tag in self._iterations:
            return self._look_at_iteration(tag)
        if tag not in self._of_tag:
            return NotReady(f"{self._wanted.source} has no shard of tag {tag}")
        arrived = [self._arrived(shard) for shard in self._of_tag[tag]]
        wanted = Wanted(self._wanted.source, tag, self._wanted.prefix, self._wanted.ranks)
        try:
            return judge(arrived, wanted, self._fitting())
        except CkptError as error:
            return NotReady(str(error))

    def _look_at_iteration(self, tag: Tag) -> Readiness:
        wanted = Wanted(self._wanted.source, tag, self._wanted.prefix, self._wanted.ranks)
        found = iteration_readiness(wanted)
        if isinstance(found, Ready) or tag == max(self._iterations) or not self._is_tracker_damaged():
            return found
        return iteration_readiness(wanted, is_vouched=True)

    def _is_tracker_damaged(self) -> bool:
        directory = iterations_directory(self._wanted.source)
        try:
            read_tracker(directory or self._wanted.source)
        except DamagedFileError:
            return True
        except CkptError:
            pass
        return False

    def _arrived(self, shard: Shard) -> Arrived:
        status = shard.path.stat()
        why_open = self._closing.why_open(shard.path, status, was_closed=False)
        return Arrived(shard, None, None, why_open) if why_open else read(shard, status, self._contents)

    def _fitting(self) -> Fit:
        if self._fit is None:
            if self._strategies is not None:
                self._strategies.relist()
            self._fit = Fit(None if self._strategies is None else self._strategies.joined())
        return self._fit
