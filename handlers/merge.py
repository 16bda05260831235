"""The merge step: a run's shards become one checkpoint, published with its manifest."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.ckpt import Effort, Family, OutputOptions, Plan, merge, plan_merge, read_strategies, walk_all
from handlers.ckpt.durable import make_directory
from handlers.ckpt.lora import LoraScale, with_adapters
from handlers.ckpt.manifest import Manifest
from handlers.latest import promote
from handlers.merge_plan import MergePlan
from handlers.promotion import Merged
from handlers.shards.choice import Chosen, choose
from handlers.shards.names import find_strategies

Report = Callable[..., object]
"""Gets an event's name and its fields, as the `info` of a structlog logger does."""


@dataclass(frozen=True)
class MergeSummary:
    """What was merged. All counts are of entries, each name counted once."""

    outputs: tuple[Path, ...]
    """The files, without the manifest."""
    prefix: str
    tag: str
    ranks: int
    entries_in: int
    entries_kept: int
    dropped: Mapping[Family, int]
    adapters_merged: int
    """How many weights an adapter was added to."""
    unlaid: int
    """How many that were kept no strategy names."""
    agreed: bool
    """Whether all ranks were found to agree on those."""
    bytes: int
    seconds: float
    kept_latest: str = ""
    """Why `latest` was not moved, for people; empty where it was, or nobody asked for it."""


def run(
    plan: MergePlan, progress: Callable[[int, int], None] | None = None, report: Report = lambda *_, **__: None
) -> MergeSummary:
    """Merge what `plan` names; `progress` gets the bytes written so far and in all, `report` the events.

    The output appears first, then its manifest, then the link `latest`, if nothing newer is published. Done again over
    the same shards it only finishes what is missing. Raises handlers.ckpt.CkptError (exit code 3, but for
    NoSpaceError), BadInputError for a malformed tag, and OSError.
    """
    started = time.monotonic()
    chosen = choose(
        plan.source,
        tag=plan.tag,
        prefix=plan.prefix,
        ranks=plan.ranks,
        strategy=plan.strategy,
        needs_strategy=plan.needs_strategy,
        files=plan.files,
    )
    tag, planned = str(chosen.tag), replace(_planned(plan, chosen), origin=plan.origin)
    size = sum(parameter.nbytes for parameter in (*planned.parameters, *planned.transformed))
    report("merge_planned", tag=tag, ranks=len(chosen.shards), entries=len(planned.parameters), bytes=size)
    make_directory(plan.destination)
    manifest = merge(
        planned,
        plan.destination,
        OutputOptions(plan.format, plan.max_shard_size),
        prefix=chosen.prefix,
        tag=tag,
        force=plan.force,
        progress=progress,
        effort=Effort(hashed=plan.hashed, compared=plan.compared),
    )
    kept_latest = "" if plan.latest is None else _promote(plan.latest, plan, manifest)
    summary = MergeSummary(
        outputs=tuple(plan.destination / file.name for file in manifest.files),
        prefix=chosen.prefix,
        tag=tag,
        ranks=len(chosen.shards),
        entries_in=planned.entries_in,
        entries_kept=len(planned.parameters),
        dropped=planned.dropped,
        adapters_merged=len(planned.updates),
        unlaid=len(planned.unlaid),
        agreed=plan.compared or chosen.strategy is not None,
        bytes=manifest.size,
        seconds=time.monotonic() - started,
        kept_latest=kept_latest,
    )
    report(
        "merge_published", tag=tag, path=str(plan.destination), bytes=summary.bytes, seconds=round(summary.seconds, 3)
    )
    return summary


def _promote(latest: Path, plan: MergePlan, manifest: Manifest) -> str:
    """Set `latest` if this output is the newest; else say why not."""
    merged = Merged.of(plan.destination, manifest)
    if plan.origin is not None:  # the manifest may be of a version that did not keep it
        merged = replace(merged, origin=plan.origin)
    verdict = promote(latest, merged)
    return "" if verdict.promoted else f"{latest.parent.name}/{latest.name} {verdict.reason}"


def _planned(plan: MergePlan, chosen: Chosen) -> Plan:
    """Read the shards' headers and decide what the output holds."""
    layout_from = None
    if plan.layout_from is not None:
        layout_from = read_strategies(find_strategies(plan.source, plan.layout_from))
    planned = plan_merge(
        walk_all({shard.rank: shard.path for shard in chosen.shards}),
        chosen.strategy,
        keep=plan.keep,
        transformed=plan.transformed,
        layout_from=layout_from,
    )
    scale = None
    if plan.lora_alpha is not None and plan.lora_rank is not None:
        scale = LoraScale(plan.lora_alpha, plan.lora_rank)
    return with_adapters(planned, plan.lora, scale)
