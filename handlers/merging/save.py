"""What a merge takes: the shards of one tag, or a save in MindFormers' new format, opened and found to fit together."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.ckpt import CkptFile, InconsistentError, Plan, open_iteration, plan_merge, read_strategies, walk_all
from handlers.ckpt.codes import Code
from handlers.ckpt.planning.lora import LoraScale, with_adapters
from handlers.records.merge_plan import MergePlan
from handlers.shards.choice import Chosen, choose
from handlers.shards.iterations import choose_iteration, wants_iteration
from handlers.shards.names import find_strategies


@dataclass(frozen=True)
class Save:
    """A save that is to be merged."""

    prefix: str
    tag: str
    ranks: int
    stages: int
    """The pipeline stages that the strategy files describe; 1 for a run without any, and without strategy files."""
    plan: Plan


def open_save(plan: MergePlan) -> Save:
    """Read the headers of what `plan` names, and decide what the output holds.

    Raises handlers.ckpt.CkptError where it does not fit together, BadInputError for a malformed tag, and OSError.
    """
    is_iteration = not plan.files and wants_iteration(plan.source, plan.tag)
    save = _open_iteration(plan) if is_iteration else _open_shards(plan)
    scale = None
    if plan.lora_alpha is not None and plan.lora_rank is not None:
        scale = LoraScale(plan.lora_alpha, plan.lora_rank)
    return Save(save.prefix, save.tag, save.ranks, save.stages, with_adapters(save.plan, plan.lora, scale))


def _open_iteration(plan: MergePlan) -> Save:
    chosen = choose_iteration(plan.source, plan.tag, plan.prefix)
    opened = open_iteration(chosen.directory)
    metadata = opened.metadata
    for strategy in filter(None, (plan.strategy, plan.layout_from)):
        raise InconsistentError(
            f"{strategy}: {metadata.path} says itself how everything is cut: merge it without strategy files",
            Code.STRATEGY_UNFIT,
        )
    for wanted, found, what, code in (
        (plan.ranks, metadata.ranks, "ranks", Code.RANKS_DIFFER),
        (plan.stages, metadata.stages, "pipeline stages", Code.STAGES_INCOMPLETE),
    ):
        if wanted not in {None, found}:
            raise InconsistentError(f"{metadata.path} describes {found} {what}, but the run has {wanted}", code)
    planned = opened.plan(keep=plan.keep, transformed=plan.transformed)
    return Save(chosen.prefix, str(chosen.tag), metadata.ranks, metadata.stages, planned)


def _open_shards(plan: MergePlan) -> Save:
    chosen = choose(
        plan.source,
        tag=plan.tag,
        prefix=plan.prefix,
        ranks=plan.ranks,
        stages=plan.stages,
        strategy=plan.strategy,
        needs_strategy=plan.needs_strategy,
        files=plan.files,
    )
    planned = _planned(plan, chosen)
    return Save(chosen.prefix, str(chosen.tag), len(chosen.shards), planned.stages, planned)


def _planned(plan: MergePlan, chosen: Chosen) -> Plan:
    """Read the shards' headers and decide what the output holds."""
    layout_from = None
    if plan.layout_from is not None:
        layout_from = read_strategies(find_strategies(plan.source, plan.layout_from))
    shards = walk_all({shard.rank: shard.path for shard in chosen.shards})
    if chosen.strategy is None and plan.ranks is None:
        _refuse_unknown_ranks(shards)
    return plan_merge(shards, chosen.strategy, keep=plan.keep, transformed=plan.transformed, layout_from=layout_from)


def _refuse_unknown_ranks(shards: Mapping[int, CkptFile]) -> None:
    """Refuse shards that leave out what others save where nothing says how many others there are."""
    for shard in shards.values():
        if shard.lacks_replicas:
            raise InconsistentError(
                f"{shard.path}: it leaves out what other ranks save (remove_redundancy), and without strategy files "
                f"nothing says how many there are; {len(shards)} were found: say how many the run has (--ranks)",
                Code.SHARDS_INCOMPLETE,
            )
