"""What the output holds, and from which shards: decided, and refused, before anything is written.

The output is what MindSpore's own way gives, byte for byte: `transform_checkpoint_by_rank`, `load_checkpoint`, dropping
names, `save_checkpoint`. Hence the dims of scalars and the order: parameters in the strategy first, then the others,
each as the shards have them, the last pipeline stage's first, since MindSpore loads the highest rank first
(`rank_list_for_transform`). Where in which file each goes is for `handlers.ckpt.planning.output` to say.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import ITEM_SIZES, TEXT, CkptFile, Entry, Family, Fingerprint, Format, shape
from handlers.ckpt.errors import InconsistentError, UnsupportedLayoutError
from handlers.ckpt.formats.strategy import Stage, Strategy
from handlers.ckpt.layout import Layout, LayoutError, Tiling
from handlers.ckpt.planning.agreement import (
    check_alike,
    check_entries,
    check_names,
    check_ranks,
    check_state,
)
from handlers.ckpt.planning.families import Families, families_of
from handlers.ckpt.planning.origin import Origin
from handlers.ckpt.planning.redundancy import as_found, check_redundancy, check_weights, united
from handlers.ckpt.planning.trained_on import TrainedOn


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the output, whatever file it goes to."""

    name: str
    dims: tuple[int, ...]
    """As MindSpore writes them: a scalar of shape () may have [0]."""
    type: str
    item_size: int
    """Bytes of an element; a text is one element."""
    tiling: Tiling
    laid: bool
    """False where no strategy names it: all ranks must hold the same bytes."""
    update: "LoraPair | None" = None
    """The adapter that is added to the shards' bytes."""

    @property
    def nbytes(self) -> int:
        """Bytes of content."""
        return math.prod(self.tiling.dims) * self.item_size


@dataclass(frozen=True, slots=True)
class LoraPair:
    """A low-rank adapter of a weight of shape (out, in): the weight becomes W + scaling · B·A."""

    a: Parameter
    """Of shape (rank, in)."""
    b: Parameter
    """Of shape (out, rank)."""
    scaling: float


@dataclass(frozen=True)
class Plan:
    """A merge that is known to fit together, except for the replicas' bytes, which are compared while merging."""

    shards: Mapping[int, CkptFile]
    strategy: Strategy | None
    parameters: tuple[Parameter, ...]
    families: Families
    """What the entries of the shards are, each name once."""
    left: tuple[str, ...]
    """The entries that stay behind."""
    transformed: tuple[Parameter, ...] = ()
    """The parameters of every family, where asked for: what `transform_checkpoint_by_rank` writes."""
    layout_from: Strategy | None = None
    """What lays out what `strategy` does not name."""
    described_by: Mapping[Path, Fingerprint] = field(default_factory=dict)
    """The metadata.json of a save that has one instead of strategies; `shards` are by the number of the file then."""
    origin: Origin | None = None
    """What made the shards, for the manifest; None where nobody says."""
    trained_on: tuple[TrainedOn, ...] = ()
    """The files that they were trained on, for the manifest, as far as somebody says so."""

    @property
    def entries_in(self) -> int:
        """How many entries the shards have, each name counted once."""
        return len(self.families.of)

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many entries of each family stay behind."""
        return dict(Counter(self.families.of[name] for name in self.left))

    @property
    def dropped_by_prefix(self) -> Mapping[str, int]:
        """How many entries of state stay behind, by what their names begin with."""
        states = self.families.states
        return dict(Counter(states[name].prefix for name in self.left if name in states))

    @property
    def stages(self) -> int:
        """How many pipeline stages the strategy describes: 1 for a run without any, or for a part of one with more."""
        return len(self.strategy.stages) if self.strategy is not None else 1

    @property
    def strategy_files(self) -> Mapping[Path, Fingerprint]:
        """All strategy files that the plan goes by, or what it has instead."""
        sources = [source for source in (self.strategy, self.layout_from) if source is not None]
        return dict(self.described_by) | {path: known for source in sources for path, known in source.files.items()}

    @property
    def equal_chunks(self) -> bool:
        """How the MindSpore that wrote the shards cuts large tensors: 2.0 into equal chunks, newer ones into full ones.

        The latter write the shape of a scalar as []; and safetensors, which 2.0 knows not.
        """
        first = self.shards[0]
        return first.format is Format.CKPT and all(entry.dims != () for entry in first.entries.values())

    @property
    def updates(self) -> Mapping[str, float]:
        """The weights that an adapter is merged into, and its scaling."""
        return {
            parameter.name: parameter.update.scaling for parameter in self.parameters if parameter.update is not None
        }

    @property
    def unlaid(self) -> tuple[str, ...]:
        """The names that are in no strategy."""
        return tuple(parameter.name for parameter in self.parameters if not parameter.laid)


def plan_merge(
    shards: Mapping[int, CkptFile],
    strategy: Strategy | None,
    *,
    keep: Collection[str] = (Family.WEIGHTS, Family.SCALARS),
    transformed: bool = False,
    layout_from: Strategy | None = None,
) -> Plan:
    """Plan the merge of one tag's shards, by rank. `strategy` is None for data parallel runs.

    `keep` are families: a Family, or the prefix of one that no list names. `layout_from` lays out what `strategy` does
    not name: the frozen weights of a LoRA run. Raises InconsistentError where the shards do not fit each other or the
    strategy, or have no such family, and UnsupportedLayoutError for layouts that cannot be merged.
    """
    check_ranks(shards, strategy)
    check_redundancy(shards.values())
    parts = _parts(shards, strategy, layout_from)
    names = [name for part in reversed(parts) for name in part.whole.entries]
    owners = {name: [part for part in parts if name in part.whole.entries] for name in names}
    ordered = sorted(owners, key=lambda name: owners[name][0].find(name) is None)
    families = families_of({name: owners[name][0].whole.entries[name] for name in ordered})
    check_keep(keep, families, shards[0].path)
    wanted = [name for name in ordered if transformed or families.of[name] in keep]
    for part in parts:
        part.check(wanted)
    parameters = [_parameter(name, owners[name]) for name in wanted]
    if strategy is None and shards[0].lacks_replicas:
        check_weights(families, shards)
    if strategy is not None:
        check_state({parameter.name: parameter.tiling.dims for parameter in parameters}, families, strategy)
    kept = tuple(parameter for parameter in parameters if families.of[parameter.name] in keep)
    if not kept:
        raise InconsistentError(f"{shards[0].path} has no entry to keep ({', '.join(keep)})", Code.NOTHING_TO_KEEP)
    return Plan(
        shards=dict(shards),
        strategy=strategy,
        parameters=kept,
        families=families,
        left=tuple(name for name in ordered if families.of[name] not in keep),
        transformed=tuple(parameters) if transformed else (),
        layout_from=layout_from,
    )


def check_keep(keep: Collection[str], families: Families, where: Path) -> None:
    """Refuse to keep a family that is not there; the three that every set may have are no mistake."""
    there = set(families.of.values())
    for name in keep:
        if name not in there and name not in set(Family):
            raise InconsistentError(
                f"{where}: no family of it or of the other shards is called {name!r} (keep). They have {families}",
                Code.NOTHING_TO_KEEP,
            )


@dataclass(frozen=True)
class _Part:
    """A pipeline stage of a run, and what lays out its parameters; a run without stages is one."""

    first_rank: int
    shards: Sequence[CkptFile]
    whole: CkptFile
    """What they hold together."""
    strategy: Strategy | None
    stages: Sequence[Stage]
    """Where to look for a layout, one after the other."""

    def by_rank(self) -> Iterable[tuple[int, CkptFile]]:
        """Return the shards with their ranks."""
        return enumerate(self.shards, self.first_rank)

    def holder(self, name: str) -> CkptFile:
        """Return the first shard that has `name`."""
        return next(shard for shard in self.shards if name in shard.entries)

    def find(self, name: str) -> tuple[Stage, Layout] | None:
        """Return the layout of `name` and where it stands; None where no strategy has one."""
        return next(((stage, stage.layouts[name]) for stage in self.stages if name in stage.layouts), None)

    def check(self, wanted: Collection[str]) -> None:
        """Refuse what the stage's shards do not agree on; `wanted` are the names to be merged."""
        for name in wanted:
            found = self.find(name)
            if found is not None and found[1].uneven:
                raise UnsupportedLayoutError(
                    f"{found[0].path}: {name}: its slices differ in size (it uses {found[1].uneven}); only even slices "
                    "are merged",
                    Code.UNSUPPORTED_LAYOUT,
                )
        check_entries(self.shards)
        if self.strategy is not None:
            check_names(self.strategy, self.whole, self.first_rank)


def _parts(shards: Mapping[int, CkptFile], strategy: Strategy | None, layout_from: Strategy | None) -> Sequence[_Part]:
    """Divide a run into its stages."""
    sources = [source for source in (strategy, layout_from) if source is not None]
    for source in sources:
        if (source.ranks, source.stage_ranks) != (len(shards), sources[0].stage_ranks):
            raise InconsistentError(
                f"{source.path} is for {source.ranks} ranks, {source.stage_ranks} a pipeline stage, but the run has "
                f"{len(shards)}, {sources[0].stage_ranks} a stage: it must be of the same network, cut in the same way",
                Code.STRATEGY_UNFIT,
            )
    size = sources[0].stage_ranks if sources else len(shards)
    parts = []
    for first in range(0, len(shards), size):
        own = [shards[rank] for rank in range(first, first + size)]
        parts.append(_Part(first, own, united(own), strategy, [source.stage_of(first) for source in sources]))
    return parts


def _parameter(name: str, owners: Sequence[_Part]) -> Parameter:
    """Plan one parameter, which the stages `owners` have."""
    first, *others = owners
    shard, found = first.holder(name), first.find(name)
    for other in others:
        _check_shared(name, first, other)
    entry = shard.entries[name]
    slice_dims = shape(entry.dims)
    layout = found[1] if found is not None else Layout.replicated(len(first.shards), len(slice_dims))
    try:
        tiling = Tiling(layout, slice_dims, tuple(owner.first_rank for owner in owners))
    except LayoutError as error:
        where = found[0].path if found is not None else shard.path
        raise InconsistentError(
            f"{where}: {name}: {error}; {shard.path} and the strategy are not of one run", Code.STRATEGY_UNFIT
        ) from error
    if shard.lacks_replicas:
        named = found is not None or not first.stages
        tiling = as_found(name, tiling, {rank: file for owner in owners for rank, file in owner.by_rank()}, named=named)
    item_size = entry.nbytes if entry.type == TEXT else ITEM_SIZES[entry.type]
    return Parameter(name, _saved_dims(entry, tiling), entry.type, item_size, tiling, found is not None)


def _check_shared(name: str, first: _Part, other: _Part) -> None:
    """Refuse a parameter that two stages have unless they have it in the same way, so that they are replicas."""
    one, two = first.find(name), other.find(name)
    if one is None or two is None:
        if one is not two:
            found = one or two
            without = first if one is None else other
            raise InconsistentError(
                f"{without.holder(name).path}: {name}: its pipeline stage's strategy does not name it, but "
                f"{found[0].path if found else ''} does for another stage: are all files of one run?",
                Code.STRATEGY_UNFIT,
            )
    elif one[1] != two[1]:
        raise UnsupportedLayoutError(
            f"{two[0].path}: {name}: pipeline stages share it, but it is cut differently for another one "
            f"({one[0].path}), so that its copies cannot be compared",
            Code.UNSUPPORTED_LAYOUT,
        )
    check_alike(name, first.holder(name), other.holder(name))


def _saved_dims(entry: Entry, tiling: Tiling) -> tuple[int, ...]:
    """Return the dims that MindSpore writes after loading what it wrote.

    MindSpore 2.0 writes shape () as [0], of which a Bool comes back as shape (1,); newer ones write [] and keep it.
    """
    if tiling.dims or entry.dims == ():
        return tiling.dims
    return (1,) if entry.type == "Bool" else (0,)
