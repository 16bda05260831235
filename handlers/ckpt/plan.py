"""What the output holds, and from which shards: decided, and refused, before anything is written.

The output is what MindSpore's own way gives, byte for byte: `transform_checkpoint_by_rank`, `load_checkpoint`, dropping
names, `save_checkpoint`. Hence the order (parameters in the strategy first, then the others, each in the shard's
order) and the dims of scalars. Where in which file each goes is for `handlers.ckpt.output` to say.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from handlers.ckpt.entry import ITEM_SIZES, TEXT, CkptFile, Entry, Family
from handlers.ckpt.errors import InconsistentError, UnsupportedLayoutError
from handlers.ckpt.layout import Layout, LayoutError, Tiling
from handlers.ckpt.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the output, whatever file it goes to."""

    name: str
    dims: tuple[int, ...]
    """As MindSpore writes them: a scalar of shape () has [0]."""
    type: str
    item_size: int
    """Bytes of an element; a text is one element."""
    tiling: Tiling
    laid: bool
    """False where no strategy names it: all ranks must hold the same bytes."""

    @property
    def nbytes(self) -> int:
        """Bytes of content."""
        return math.prod(self.tiling.dims) * self.item_size


@dataclass(frozen=True)
class Plan:
    """A merge that is known to fit together, except for the replicas' bytes, which are compared while merging."""

    shards: Mapping[int, CkptFile]
    strategy: Strategy | None
    parameters: tuple[Parameter, ...]
    dropped: Mapping[Family, int]
    """How many entries of each family stay behind."""

    @property
    def entries_in(self) -> int:
        """How many entries a shard has."""
        return len(self.shards[0].entries)

    @property
    def unlaid(self) -> tuple[str, ...]:
        """The names that are in no strategy."""
        return tuple(parameter.name for parameter in self.parameters if not parameter.laid)


def plan_merge(
    shards: Mapping[int, CkptFile],
    strategy: Strategy | None,
    *,
    keep: Collection[Family] = (Family.WEIGHTS, Family.SCALARS),
) -> Plan:
    """Plan the merge of one tag's shards, by rank. `strategy` is None for data parallel runs.

    Raises InconsistentError where the shards do not fit each other or the strategy, UnsupportedLayoutError for
    optimizer shards and uneven slices of what is kept.
    """
    _check_ranks(shards, strategy)
    _check_entries(shards)
    kept = {name: entry for name, entry in shards[0].entries.items() if entry.family in keep}
    if not kept:
        raise InconsistentError(f"{shards[0].path} has no entry to keep ({', '.join(keep)})")
    layouts: Mapping[str, Layout] = {}
    if strategy is not None:
        check_names(strategy, shards[0])
        layouts = strategy.layouts
    ordered = [name for name in kept if name in layouts] + [name for name in kept if name not in layouts]
    parameters = [_parameter(kept[name], layouts.get(name), shards, strategy) for name in ordered]
    dropped = Counter(entry.family for name, entry in shards[0].entries.items() if name not in kept)
    return Plan(dict(shards), strategy, tuple(parameters), dict(dropped))


def _check_ranks(shards: Mapping[int, CkptFile], strategy: Strategy | None) -> None:
    count = len(shards) if strategy is None else strategy.ranks
    if strategy is not None and count < len(shards):
        raise InconsistentError(
            f"{strategy.path} speaks of {count} ranks, but there are shards of {len(shards)}: "
            "is it another run's, or one pipeline stage's of several?"
        )
    missing = sorted(set(range(count)) - set(shards))
    if missing or not shards:
        raise InconsistentError(f"of {count} ranks, these have no shard: {', '.join(map(str, missing)) or 'all'}")


def _check_entries(shards: Mapping[int, CkptFile]) -> None:
    """Every shard must have the same names, shapes and types."""
    first = shards[0]
    for rank in range(1, len(shards)):
        other = shards[rank]
        for one, two in ((first, other), (other, first)):
            lacking = next((name for name in one.entries if name not in two.entries), None)
            if lacking is not None:
                raise InconsistentError(
                    f"{two.path}: {lacking}: it is missing here, but {one.path} has it: is the file cut off between "
                    "two records, or from another run?"
                )
        for name, entry in first.entries.items():
            here = other.entries[name]
            if (here.dims, here.type) != (entry.dims, entry.type):
                raise InconsistentError(
                    f"{other.path}: {name}: it is {here.type}{list(here.dims)} here, "
                    f"but {entry.type}{list(entry.dims)} in {first.path}: are they of one run?"
                )


def check_names(strategy: Strategy, shard: CkptFile) -> None:
    """Refuse a shard that lacks what the strategy names.

    A file without any optimizer state is all right (weights only), one with a part of it is cut off.
    """
    present = {_group(name) for name in shard.entries}
    for name in strategy.layouts:
        if name not in shard.entries and _group(name) in present:
            raise InconsistentError(
                f"{shard.path}: {name}: it is in the strategy {strategy.path}, but in no shard: are the shards cut off "
                "between two records, or is the strategy another run's?"
            )


def _group(name: str) -> str:
    """`adam_m` of `adam_m.lm_head.weight`; weights are one group, which every shard has."""
    family = Entry(name, (), "", ()).family
    return name.partition(".")[0] if family is Family.OPTIMIZER else ""


def _parameter(
    entry: Entry, layout: Layout | None, shards: Mapping[int, CkptFile], strategy: Strategy | None
) -> Parameter:
    """Plan one parameter."""
    shape = () if entry.dims == (0,) else entry.dims
    if layout is not None and strategy is not None:
        where = f"{strategy.path}: {entry.name}"
        if layout.optimizer_shards:
            raise UnsupportedLayoutError(
                f"{where}: its optimizer shards (opt_weight_shard_size {layout.optimizer_shards}) are not merged by "
                "this version; train with enable_parallel_optimizer: False"
            )
        if layout.uneven:
            raise UnsupportedLayoutError(
                f"{where}: its slices differ in size (param_split_shape, indices_offset or field)"
            )
    else:
        where = entry.name
    try:
        tiling = Tiling(layout or Layout.replicated(len(shards), len(shape)), shape)
    except LayoutError as error:
        raise InconsistentError(f"{where}: {error}; {shards[0].path} and the strategy are not of one run") from error
    item_size = entry.nbytes if entry.type == TEXT else ITEM_SIZES[entry.type]
    return Parameter(entry.name, _saved_dims(entry, tiling), entry.type, item_size, tiling, layout is not None)


def _saved_dims(entry: Entry, tiling: Tiling) -> tuple[int, ...]:
    """Return the dims that MindSpore writes after loading: shape () as [0], but a Bool [0] comes back as shape (1,)."""
    if tiling.dims:
        return tiling.dims
    return (1,) if entry.type == "Bool" else (0,)
