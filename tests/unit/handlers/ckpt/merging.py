"""Merging a written run, for the tests of what a merge is made of."""

from pathlib import Path

from handlers.ckpt import Manifest, merge, plan_merge, read_strategy, walk
from tests.unit.handlers.ckpt.ckpt_writer import Run


def merge_run(run: Run, destination: Path, *, force: bool = False) -> Manifest:
    """Merge a written run into the directory `destination`."""
    shards = {rank: walk(run.shard(rank)) for rank in range(run.ranks)}
    plan = plan_merge(shards, read_strategy(run.strategy) if run.layouts else None)
    return merge(plan, destination, prefix=run.prefix, tag="31_4", force=force)


def names(directory: Path) -> list[str]:
    """List a directory, hidden files too."""
    return sorted(path.name for path in directory.iterdir())
