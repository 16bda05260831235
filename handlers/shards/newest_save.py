"""The shards and strategy files of one save of a run, complete or not: to be looked at, not to be merged."""

from collections.abc import Mapping
from pathlib import Path

from handlers.ckpt import InconsistentError
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.shards.names import LAST, find_shards, find_strategies, parse_tag


def newest_save(
    source: Path, *, tag: str = LAST, prefix: str | None = None, strategy: Path | None = None
) -> tuple[Mapping[int, Path], tuple[Path, ...]]:
    """Return the shards of `tag` (else of the newest that any rank has), by rank, and the strategy files if any.

    What this shows `handlers.shards.choice.choose` may refuse. Raises BadInputError where there is no such shard, or
    several prefixes leave open which is meant.
    """
    wanted = parse_tag(tag)
    shards = [shard for shard in find_shards(source, wanted) if prefix in {None, shard.prefix}]
    timed = wanted if wanted is not None and wanted.timed else None
    newest = timed or max((shard.tag for shard in shards), default=None)
    chosen = [shard for shard in shards if shard.tag == newest]
    if not chosen:
        raise BadInputError(
            f"{source} holds neither manifest.json nor shards" + (f" of tag {tag}" if wanted else ""),
            Code.MERGE_NO_SHARDS,
        )
    prefixes = sorted({shard.prefix for shard in chosen})
    if len(prefixes) > 1:
        raise BadInputError(
            f"{source} has shards of several prefixes ({', '.join(prefixes)}): say which (--prefix)",
            Code.MERGE_SEVERAL_PREFIXES,
        )
    by_rank = {shard.rank: shard.path for shard in sorted(chosen, key=lambda shard: shard.bump)}
    try:
        return by_rank, find_strategies(source, strategy)
    except InconsistentError:
        if strategy is not None:
            raise
        return by_rank, ()
