"""The shards of one tag and the run's strategy, opened together: where the library's users begin."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.entry import CkptFile, Family
from handlers.ckpt.formats.strategy import Strategy, read_strategies
from handlers.ckpt.formats.twins import walk_all
from handlers.ckpt.planning.plan import Plan, plan_merge

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class CheckpointSet:
    """What one save of a run consists of."""

    shards: Mapping[int, CkptFile]
    """By rank."""
    strategy: Strategy | None
    """None for a data parallel run, which writes none."""

    def plan(
        self,
        *,
        keep: Collection[str] = (Family.WEIGHTS, Family.SCALARS),
        transformed: bool = False,
        layout_from: Strategy | None = None,
    ) -> Plan:
        """Plan the merge of what is to be kept; see `handlers.ckpt.plan_merge`, which raises what does not fit."""
        return plan_merge(self.shards, self.strategy, keep=keep, transformed=transformed, layout_from=layout_from)


def open_set(shards: Mapping[int, AnyPath] | Sequence[AnyPath], strategy: Sequence[AnyPath] = ()) -> CheckpointSet:
    """Read the headers of `shards`, by rank or in rank order, and the run's strategy files, if it wrote any.

    One strategy file a pipeline stage is enough; all of them are checked against each other. Raises DamagedFileError,
    UnsupportedLayoutError, InconsistentError, and OSError.
    """
    by_rank = shards if isinstance(shards, Mapping) else dict(enumerate(shards))
    read = read_strategies([Path(path) for path in strategy]) if strategy else None
    return CheckpointSet(walk_all({rank: Path(path) for rank, path in by_rank.items()}), read)
