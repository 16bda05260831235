"""The merge step: a run's shards become one checkpoint without optimizer state, published with its manifest."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from handlers.ckpt import Family, merge, plan_merge, walk
from handlers.ckpt.durable import make_directory, publish_symlink
from handlers.job_plan import MergePlan
from handlers.shards import choose

log = structlog.get_logger()


@dataclass(frozen=True)
class MergeSummary:
    """What was merged. `entries_in` and `entries_kept` count parameters, `unlaid` those that no strategy names."""

    outputs: tuple[Path, ...]
    """The files, without the manifest."""
    prefix: str
    tag: str
    ranks: int
    entries_in: int
    entries_kept: int
    unlaid: int
    bytes: int
    seconds: float


def run(plan: MergePlan, progress: Callable[[int, int], None] | None = None) -> MergeSummary:
    """Merge what `plan` names; `progress` gets the bytes written so far and in all.

    The output appears first, then its manifest, then the link `latest`. Done again over the same shards it only
    finishes what is missing. Raises handlers.ckpt.CkptError (exit code 3, but for NoSpaceError), BadInputError for a
    malformed tag, and OSError.
    """
    started = time.monotonic()
    chosen = choose(
        plan.source,
        tag=plan.tag,
        prefix=plan.prefix,
        ranks=plan.ranks,
        strategy=plan.strategy,
        needs_strategy=plan.needs_strategy,
    )
    tag = str(chosen.tag)
    shards = {shard.rank: walk(shard.path) for shard in chosen.shards}
    planned = plan_merge(shards, chosen.strategy, keep=[Family(keep.value) for keep in plan.keep])
    log.info(
        "merge_planned",
        tag=tag,
        ranks=len(shards),
        entries=len(planned.parameters),
        bytes=sum(parameter.nbytes for parameter in planned.parameters),
    )
    make_directory(plan.destination)
    manifest = merge(planned, plan.destination, prefix=chosen.prefix, tag=tag, force=plan.force, progress=progress)
    if plan.latest is not None:
        make_directory(plan.latest.parent)
        target = os.path.relpath(plan.destination.resolve(), plan.latest.parent.resolve())
        publish_symlink(plan.latest, Path(target))
    summary = MergeSummary(
        outputs=tuple(plan.destination / file.name for file in manifest.files),
        prefix=chosen.prefix,
        tag=tag,
        ranks=len(shards),
        entries_in=planned.entries_in,
        entries_kept=len(planned.parameters),
        unlaid=len(planned.unlaid),
        bytes=manifest.size,
        seconds=time.monotonic() - started,
    )
    log.info(
        "merge_published", tag=tag, path=str(plan.destination), bytes=summary.bytes, seconds=round(summary.seconds, 3)
    )
    return summary
