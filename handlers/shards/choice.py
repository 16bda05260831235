"""Which shards to merge: the tag that is meant, and of each rank the one shard of it, decided by names alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt import InconsistentError, Strategy, read_strategies
from handlers.ckpt.codes import Code
from handlers.shards.health import refuse_unhealthy
from handlers.shards.names import (
    DIRECTORIES,
    LAST,
    Part,
    Shard,
    Tag,
    find_shards,
    find_strategies,
    parse_tag,
    rank_of_strategy,
    shards_of,
    strategy_directory,
)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a source. None leaves the answer to the shards, where they leave no doubt."""

    source: Path
    tag: Tag | None = None
    """None for the newest that every rank has; one that says no time, for the newest of its part."""
    prefix: str | None = None
    ranks: int | None = None

    @property
    def time(self) -> Tag | None:
        """The one tag that is meant; None for the newest."""
        return self.tag if self.tag is not None and self.tag.timed else None


@dataclass(frozen=True)
class Chosen:
    """What would be merged: one shard a rank, in rank order."""

    prefix: str
    tag: Tag
    shards: tuple[Shard, ...]
    strategy: Strategy | None


def choose(
    source: Path,
    *,
    tag: str = LAST,
    prefix: str | None = None,
    ranks: int | None = None,
    stages: int | None = None,
    strategy: Path | None = None,
    needs_strategy: bool = True,
    files: Sequence[Path] = (),
) -> Chosen:
    """Decide by names what to merge; the shards are not opened.

    `source` is an output tree, or its `checkpoint/` or `checkpoint_network/`; `files`, where given, are the shards
    instead of what is found there, one a rank. Raises InconsistentError where the answer is not beyond doubt, or the
    newest save is unhealthy, the errors of `read_strategies`, and BadInputError for a malformed tag or a file that is
    no shard.
    """
    wanted = Wanted(source, parse_tag(tag), prefix, ranks)
    shards = shards_of(files) if files else find_shards(source, wanted.tag)
    if not shards:
        raise InconsistentError(nothing_found(wanted), Code.NO_SHARDS)
    layouts = read_strategies(find_strategies(source, strategy)) if needs_strategy or strategy is not None else None
    if layouts is not None and stages is not None:
        _check_stages(layouts, stages)
    if layouts is not None and strategy is not None and strategy.is_file():
        _refuse_one_of_several_stages(strategy, layouts, source)
    chosen = choose_among(shards, wanted, layouts)
    if wanted.time is None and not files:
        refuse_unhealthy(source, chosen.shards)
    beside = sorted(set(files) - {shard.path for shard in chosen.shards})
    if beside:
        raise InconsistentError(
            f"{beside[0]}: its name is that of a shard, but the merge of tag {chosen.tag} "
            f"({chosen.shards[0].path.name} …) would leave it out: name one shard for each rank, all of one tag"
            "",
            Code.SHARDS_MIXED,
        )
    return chosen


def _check_stages(strategy: Strategy, stages: int) -> None:
    """Refuse strategy files of other pipeline stages than the run has."""
    missing = [stage for stage in range(stages) if stage not in strategy.stages]
    if missing:
        raise InconsistentError(
            f"{strategy.path}: the run has {stages} pipeline stages, but no strategy file describes stage "
            f"{', '.join(map(str, missing[:5]))}{', …' * (len(missing) > 5)}: is it of another run, or is the "
            "output of some ranks still missing?"
            "",
            Code.STAGES_INCOMPLETE,
        )
    if len(strategy.stages) > stages:
        raise InconsistentError(
            f"{strategy.path} and those beside it describe {len(strategy.stages)} pipeline stages, but the run has "
            f"{stages}: are they of another run?",
            Code.STAGES_INCOMPLETE,
        )


def _refuse_one_of_several_stages(given: Path, strategy: Strategy, source: Path) -> None:
    """Refuse a strategy file if a rank that it does not describe has written one, beside it or in `source`.

    A stage's file says nothing of other stages, and their shards may be missing too.
    """
    for directory in dict.fromkeys((given.parent, strategy_directory(source))):
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            rank = rank_of_strategy(path)
            if rank is not None and rank >= strategy.ranks:
                where = f"beside it lies {path.name}" if directory == given.parent else f"there is {path} too"
                raise InconsistentError(
                    f"{given} describes {strategy.ranks} ranks, but {where}. Is it of one pipeline stage of "
                    "several? Then give the directory. Or is that file of an earlier, larger run? Then move it away"
                    "",
                    Code.RANKS_DIFFER,
                )


def nothing_found(wanted: Wanted) -> str:
    """Say that a source has no shard, and where they would be."""
    part = Part.ALL if wanted.tag is None else wanted.tag.part
    if part is not Part.ALL:
        name = f"PREFIX_rank_N-{wanted.tag}{'' if wanted.time else '[-EPOCH_STEP]'}.ckpt"
        return f"{wanted.source} has no rank_N/{name}, nor has its {DIRECTORIES[part]}/"
    others = [other for other in (Part.NETWORK, Part.TRAINABLE) if (wanted.source / DIRECTORIES[other]).is_dir()]
    hint = "".join(f"; for the weights in its {DIRECTORIES[other]}/, name the tag `{other}`" for other in others)
    return f"{wanted.source} has no rank_N/PREFIX_rank_N-EPOCH_STEP.ckpt, nor has its checkpoint/{hint}"


def choose_among(shards: Sequence[Shard], wanted: Wanted, strategy: Strategy | None) -> Chosen:
    """Decide which of `shards` to merge; raises InconsistentError where that is not beyond doubt."""
    source = wanted.source
    count = _count(shards, wanted.ranks, strategy)
    prefix = _only_prefix(shards, source) if wanted.prefix is None else wanted.prefix
    by_rank: dict[int, list[Shard]] = {rank: [] for rank in range(count)}
    for shard in shards:
        if shard.prefix == prefix and (wanted.tag is None or shard.tag.part is wanted.tag.part):
            by_rank.setdefault(shard.rank, []).append(shard)
    lacking = [rank for rank in range(count) if not by_rank[rank]]
    if lacking:
        raise InconsistentError(
            f"{source}: {_have(lacking)} no shard with prefix {prefix} (of {count} ranks)", Code.SHARDS_INCOMPLETE
        )
    tag = wanted.time or _newest({rank: by_rank[rank] for rank in range(count)}, source)
    return Chosen(prefix, tag, _of_tag(by_rank, tag, count, source), strategy)


def _count(shards: Sequence[Shard], ranks: int | None, strategy: Strategy | None) -> int:
    if strategy is None:
        return ranks or max(shard.rank for shard in shards) + 1
    if ranks is not None and ranks != strategy.ranks:
        raise InconsistentError(
            f"{strategy.path} describes {strategy.ranks} ranks, but the run has {ranks}", Code.RANKS_DIFFER
        )
    return strategy.ranks


def _only_prefix(shards: Sequence[Shard], source: Path) -> str:
    prefixes = sorted({shard.prefix for shard in shards})
    if len(prefixes) > 1:
        raise InconsistentError(
            f"{source} has shards of several prefixes ({', '.join(prefixes)}): say which", Code.SEVERAL_PREFIXES
        )
    return prefixes[0]


def _newest(by_rank: Mapping[int, Sequence[Shard]], source: Path) -> Tag:
    """Return the newest tag, where ranks agree on it. A bumped name is of a later run, whatever its tag."""
    newest = {rank: max(shards, key=lambda shard: (shard.bump, shard.tag)).tag for rank, shards in by_rank.items()}
    tags = sorted(set(newest.values()))
    if len(tags) > 1:
        shown = "; ".join(f"{_ranks([r for r, own in newest.items() if own == tag])}: {tag}" for tag in tags)
        raise InconsistentError(
            f"{source}: ranks disagree on their newest tag: {shown}; wait for the rest, or name a tag", Code.TAGS_DIFFER
        )
    return tags[0]


def _of_tag(by_rank: Mapping[int, Sequence[Shard]], tag: Tag, count: int, source: Path) -> tuple[Shard, ...]:
    """Return each rank's shard of `tag`."""
    found = {rank: [shard for shard in shards if shard.tag == tag] for rank, shards in by_rank.items()}
    lacking = [rank for rank in range(count) if not found[rank]]
    if lacking:
        raise InconsistentError(
            f"{source}: {_have(lacking)} no shard of tag {tag} (of {count} ranks)", Code.SHARDS_INCOMPLETE
        )
    beyond = [rank for rank in found if rank >= count and found[rank]]
    if beyond:
        raise InconsistentError(
            f"{source}: {_have(beyond)} a shard of tag {tag} too, but only {count} ranks are described: is the "
            "strategy of one pipeline stage of several, or of another run?"
            "",
            Code.RANKS_DIFFER,
        )
    if any(len(shards) > 1 for shards in found.values()):
        _refuse_mixed_runs(found, tag, source)
    return _of_one_format([max(found[rank], key=lambda shard: shard.bump) for rank in range(count)])


def _refuse_mixed_runs(found: Mapping[int, Sequence[Shard]], tag: Tag, source: Path) -> None:
    """Refuse a tag that ranks have several times, unless each run saved it on all ranks, and once."""
    _refuse_twins(found, tag, source)
    bumps = {rank: tuple(sorted(shard.bump for shard in shards)) for rank, shards in found.items() if shards}
    if len(set(bumps.values())) > 1:
        example = next(found[rank] for rank, own in bumps.items() if len(own) > 1)
        raise InconsistentError(
            f"{source}: tag {tag} was saved by more than one run, and not on all ranks ("
            f"{', '.join(shard.path.name for shard in example)}): which belong together? Move the older run's away",
            Code.SHARDS_MIXED,
        )


def _refuse_twins(found: Mapping[int, Sequence[Shard]], tag: Tag, source: Path) -> None:
    """Refuse two files that each claim to be the same rank's shard of the same run, as .ckpt and .safetensors."""
    for rank, shards in found.items():
        if len({shard.bump for shard in shards}) < len(shards):
            names = ", ".join(sorted(shard.path.name for shard in shards))
            raise InconsistentError(
                f"{source}: rank {rank} has tag {tag} twice ({names}): which counts? Move the other away",
                Code.SHARDS_MIXED,
            )


def _of_one_format(shards: Sequence[Shard]) -> tuple[Shard, ...]:
    first = shards[0]
    for shard in shards:
        if shard.format != first.format:
            raise InconsistentError(
                f"{shard.path} is {shard.format}, but {first.path} is {first.format}: a run writes one format; "
                "are they of two runs?",
                Code.SHARDS_MIXED,
            )
    return tuple(shards)


def _ranks(ranks: Iterable[int]) -> str:
    numbers = sorted(ranks)
    return f"rank{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _have(ranks: Sequence[int]) -> str:
    return f"{_ranks(ranks)} {'has' if len(ranks) == 1 else 'have'}"
