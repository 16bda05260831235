"""What the shards of a run must agree on, with each other and with its strategy files.

The ranks of a pipeline stage have the same entries, and all that the strategy lays out for it. Stages differ in their
entries; what two of them have, tied embeddings or scalars, is one parameter, and alike in both.
"""

from collections.abc import Mapping, Sequence

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import CkptFile, element_count, shape
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.formats.strategy import Strategy
from handlers.ckpt.planning.families import Families, states_in


def check_ranks(shards: Mapping[int, CkptFile], strategy: Strategy | None) -> None:
    """Refuse shards that are not those of the strategy's ranks, or, without one, of ranks 0 to the last."""
    count = len(shards) if strategy is None else strategy.ranks
    if strategy is not None and count < len(shards):
        raise InconsistentError(
            f"{strategy.path} describes {count} ranks, but there are shards of {len(shards)}: is it of another "
            "run, or of one pipeline stage of several?"
            "",
            Code.RANKS_DIFFER,
        )
    missing = [rank for rank in range(count) if rank not in shards]
    if missing or not shards:
        shown = ", ".join(map(str, missing[:20])) + ", …" * (len(missing) > 20)
        raise InconsistentError(f"of {count} ranks, these have no shard: {shown or 'all'}", Code.SHARDS_INCOMPLETE)


def check_names(strategy: Strategy, shard: CkptFile, rank: int) -> None:
    """Refuse the shard of `rank` if it lacks what the strategy lays out for its stage.

    So with what the ranks of a stage hold together, where they leave out replicas. A file without any state of a prefix
    is all right (weights only), one with a part of it is cut off.
    """
    stage = strategy.stage_of(rank)
    lacking = [name for name in stage.layouts if name not in shard.entries]
    if not lacking:
        return
    laid = dict.fromkeys(strategy.layouts)
    states = states_in(laid | {name: shape(entry.dims) for name, entry in shard.entries.items()})
    prefixes = {name: state.prefix for name, state in states.items()}
    present = {prefixes.get(name, "") for name in shard.entries}
    for name in lacking:
        if prefixes.get(name, "") in present:
            raise InconsistentError(
                f"{shard.path}: {name}: it is in the strategy {stage.path}, but not in the shard: is the file cut off "
                "between two records, or is the strategy of another run?",
                Code.ENTRIES_DIFFER,
            )


def check_entries(shards: Sequence[CkptFile]) -> None:
    """Refuse shards of a stage's ranks unless all have the same names, shapes and types.

    Where they leave out replicas, names differ; what two of them have is alike.
    """
    first = shards[0]
    if first.lacks_replicas:
        holders: dict[str, CkptFile] = {}
        for shard in shards:
            for name in shard.entries:
                check_alike(name, holders.setdefault(name, shard), shard)
        return
    for other in shards[1:]:
        if other.entries is first.entries:
            continue
        for one, two in ((first, other), (other, first)):
            lacking = next((name for name in one.entries if name not in two.entries), None)
            if lacking is not None:
                raise InconsistentError(
                    f"{two.path}: {lacking}: it is missing here, but {one.path} has it: is the file cut off between "
                    "two records, or from another run?",
                    Code.ENTRIES_DIFFER,
                )
        for name in first.entries:
            check_alike(name, first, other)


def check_alike(name: str, first: CkptFile, other: CkptFile) -> None:
    """Refuse an entry that two shards have unless its shape and type are the same."""
    entry, here = first.entries[name], other.entries[name]
    if (here.dims, here.type) != (entry.dims, entry.type):
        raise InconsistentError(
            f"{other.path}: {name}: it is {here.type}{list(here.dims)} here, "
            f"but {entry.type}{list(entry.dims)} in {first.path}: are they of one run?",
            Code.ENTRIES_DIFFER,
        )
    if here.nbytes != entry.nbytes:  # of a text, whose length no dims tell
        raise InconsistentError(
            f"{other.path}: {name}: it is a text of {here.nbytes} bytes here, but of {entry.nbytes} in {first.path}: "
            "are they of one run?",
            Code.ENTRIES_DIFFER,
        )


def check_state(shapes: Mapping[str, tuple[int, ...]], families: Families, strategy: Strategy) -> None:
    """Refuse state that is as large a tensor as its weight seems, but for the size of a dimension.

    With `grad_accumulation_shard` off, MindSpore keeps whole gradients, but writes the layout of the weights' shards.
    Factored moments have fewer dimensions, and Muon keeps a single element for what it leaves to Adam.
    """
    for name, dims in shapes.items():
        weight = families.parameter(name)
        whole = shapes.get(weight, dims)
        if whole != dims and len(whole) == len(dims) and element_count(dims) > 1:
            raise InconsistentError(
                f"{strategy.path}: {name}: by its layout it is {list(dims)} as a whole, but {weight} is "
                f"{list(shapes[weight])}: merge without it (keep weights and scalars)",
                Code.STRATEGY_UNFIT,
            )
