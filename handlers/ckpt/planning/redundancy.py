"""Shards that leave out what other ranks save: safetensors of a run with `remove_redundancy: True`.

Of the ranks of a stage that hold the same slice of a parameter one writes it; those of a data parallel run, which has
no strategy files, all hold the same. What was added to the file besides (epoch_num and its likes), and what no layout
names, every rank writes. The file's metadata alone says that it is such a one. So a slice may be absent from a shard if
another of a rank that holds it has it. Read in MindSpore 2.9: train/_utils.py, parallel/_parallel_serialization.py.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import CkptFile, element_count
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.formats.safetensors import in_order
from handlers.ckpt.formats.strategy import Strategy
from handlers.ckpt.layout import Tiling
from handlers.ckpt.planning.coverage import coverage, ranks_text
from handlers.ckpt.planning.families import Families


def check_redundancy(shards: Iterable[CkptFile]) -> None:
    """Refuse shards of which some leave out their replicas, and some do not."""
    first, *others = shards
    for other in others:
        if other.lacks_replicas != first.lacks_replicas:
            without, whole = (other, first) if other.lacks_replicas else (first, other)
            raise InconsistentError(
                f"{without.path} leaves out what other ranks save (remove_redundancy), but {whole.path} does not: are "
                "they of two runs?",
                Code.SHARDS_MIXED,
            )


def united(shards: Sequence[CkptFile]) -> CkptFile:
    """Return what the shards of a stage's ranks hold together: the first one's, unless they leave out replicas.

    The order is then that of a shard with all its replicas, which the format prescribes.
    """
    first = shards[0]
    if not first.lacks_replicas:
        return first
    entries = {name: entry for shard in reversed(shards) for name, entry in shard.entries.items()}
    return replace(first, entries={entry.name: entry for entry in in_order(entries.values())})


def check_covered(strategy: Strategy, shards: Mapping[int, CkptFile]) -> None:
    """Refuse shards, by rank, if a slice of what they hold is in none of them; raises what `coverage` does."""
    for name, slices in coverage(strategy, shards).missing.items():
        raise slice_missing(name, slices[0].ranks, shards)


def slice_missing(name: str, ranks: Sequence[int], shards: Mapping[int, CkptFile]) -> InconsistentError:
    """Say that none of `ranks`, which may have the same slice of a parameter, has it."""
    return InconsistentError(
        f"{shards[ranks[0]].path}: {name}: no shard of {ranks_text(ranks)} has this slice of it, though each leaves "
        "out what others save (remove_redundancy): is one of them of another save?"
        "",
        Code.SLICE_MISSING,
    )


def as_found(name: str, tiling: Tiling, shards: Mapping[int, CkptFile], *, named: bool) -> Tiling:
    """Return the tiling with those ranks alone that have a slice in their files; refuse a slice that none has.

    `named` is False where there are strategies, but none names it: then it may be slices of a tensor that is cut, and
    which of them are missing nobody could say.
    """
    found = {
        tile: tuple(rank for rank in ranks if name in shards[rank].entries) for tile, ranks in tiling.holders.items()
    }
    for tile, ranks in found.items():
        if not ranks:
            raise slice_missing(name, tiling.holders[tile], shards)
        if not named and len(ranks) < len(tiling.holders[tile]) and math.prod(tiling.dims) > 1:
            without = next(rank for rank in tiling.holders[tile] if rank not in ranks)
            raise InconsistentError(
                f"{shards[without].path}: {name}: other ranks have it, this one leaves it out "
                "(remove_redundancy), and no strategy names it, so glmd cannot know whether it is whole. Give "
                "the strategy"
                " of a full fine-tune of the "
                "same network, cut in the same way, too (--layout-from)",
                Code.SLICE_MISSING,
            )
    return replace(tiling, found=found)


def check_weights(families: Families, shards: Mapping[int, CkptFile]) -> None:
    """Refuse state of a parameter that is nowhere: without a strategy nothing else says what there should be."""
    for name, state in families.states.items():
        if not state.of or state.of in families.of:
            continue
        for shard in shards.values():
            if name in shard.entries and element_count(shard.entries[name].dims) > 1:
                raise InconsistentError(
                    f"{shard.path}: {name}: it is optimizer state of {state.of}, but no shard has {state.of} "
                    "itself, though each leaves "
                    "out what others save (remove_redundancy): is a rank's shard missing?",
                    Code.SLICE_MISSING,
                )
