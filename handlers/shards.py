"""The shards of an output tree: their names, the tag to merge, and whether it is complete.

    SOURCE/checkpoint/rank_N/{prefix}_rank_N[_{bump}]-{epoch}_{step}.ckpt
    SOURCE/strategy/ckpt_strategy_rank_N.ckpt

SOURCE may also be the directory `checkpoint` itself. `bump` appears when a run finds files of its prefix in the rank's
directory, so ranks of one run can differ in it. `graph.meta`, `meta.json` and whatever else lies there is ignored.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import xxhash

from handlers.ckpt import (
    CkptError,
    CkptFile,
    DamagedFileError,
    Fingerprint,
    InconsistentError,
    Strategy,
    UnsupportedLayoutError,
    check_names,
    read_strategies,
    walk,
)
from handlers.errors import BadInputError

LAST = "last"
"""The tag that every rank has as its newest."""
QUIET = 10.0
"""Seconds for which a shard that is still writable must have rested; MindSpore's last act is to set mode 0400."""

_RANK_DIRECTORY = re.compile(r"rank_(\d{1,6})", re.ASCII)
_SHARD = re.compile(r"(?P<prefix>.+)_rank_(?P<rank>\d{1,6})(?:_(?P<bump>\d{1,6}))?-(?P<tag>\d+_\d+)\.ckpt", re.ASCII)
_TAG = re.compile(r"(\d{1,9})_(\d{1,9})", re.ASCII)


@dataclass(frozen=True, order=True, slots=True)
class Tag:
    """When a shard was saved, as `31_4`; ordered by number, so that 9_4 comes before 31_4."""

    epoch: int
    step: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read EPOCH_STEP; raises BadInputError."""
        match = _TAG.fullmatch(text)
        if match is None:
            raise BadInputError(f"tag {text!r} is neither `{LAST}` nor EPOCH_STEP, as `31_4`")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}_{self.step}"


@dataclass(frozen=True, slots=True)
class Shard:
    """One rank's checkpoint file of one tag, by its name."""

    path: Path
    prefix: str
    rank: int
    bump: int
    """0 where the name has none."""
    tag: Tag


@dataclass(frozen=True)
class Chosen:
    """What would be merged: one shard a rank, in rank order."""

    prefix: str
    tag: Tag
    shards: tuple[Shard, ...]
    strategy: Strategy | None


@dataclass(frozen=True)
class Ready:
    """The shards of `tag` and their strategy files are there and whole."""

    prefix: str
    tag: Tag
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class NotReady:
    """What is missing, for people."""

    reason: str


Readiness = Ready | NotReady


class Verdicts:
    """Remembers which shards are whole, so that a look at a tree costs the new shards' work only.

    A verdict holds as long as the file keeps size, mtime and inode.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Fingerprint, str]] = {}

    def contents(self, path: Path) -> str:
        """Return a digest of the names, shapes and types in a whole shard; raises CkptError for any other."""
        fingerprint = Fingerprint.of(path.stat())
        known = self._known.get(path)
        if known is None or known[0] != fingerprint:
            file = walk(path)
            known = (file.fingerprint, _digest(file))
            self._known[path] = known
        return known[1]

    def forget_missing(self) -> None:
        """Drop what is no longer on disk; `keep_checkpoint_max` deletes old shards."""
        self._known = {path: verdict for path, verdict in self._known.items() if path.exists()}


def _digest(file: CkptFile) -> str:
    digest = xxhash.xxh3_128()
    for entry in file.entries.values():
        digest.update(repr((entry.name, entry.dims, entry.type)).encode())
    return digest.hexdigest()


def find_shards(source: Path) -> tuple[Shard, ...]:
    """Return all shards of a tree, by rank and name; raises InconsistentError for one in another rank's directory."""
    shards = []
    for directory, rank in _rank_directories(source):
        for path in sorted(directory.iterdir()):
            match = _SHARD.fullmatch(path.name)
            if match is None or not path.is_file():
                continue
            if int(match["rank"]) != rank:
                raise InconsistentError(f"{path} is named for rank {match['rank']} but lies in rank {rank}'s directory")
            shards.append(Shard(path, match["prefix"], rank, int(match["bump"] or 0), Tag.parse(match["tag"])))
    return tuple(shards)


def _rank_directories(source: Path) -> list[tuple[Path, int]]:
    """Return rank_N directories with their N, in order."""
    inside = source / "checkpoint"
    found = []
    for path in (inside if inside.is_dir() else source).iterdir():
        match = _RANK_DIRECTORY.fullmatch(path.name)
        if match is not None and path.is_dir():
            found.append((path, int(match[1])))
    return sorted(found, key=lambda each: each[1])


def find_strategies(source: Path, strategy: Path | None = None) -> tuple[Path, ...]:
    """Return the strategy files: `strategy` itself, those in it, or the tree's; raises InconsistentError if none."""
    if strategy is not None and not strategy.is_dir():
        return (strategy,)
    own = source / "strategy"
    directory = strategy or (own if (source / "checkpoint").is_dir() or own.is_dir() else source.parent / "strategy")
    found = tuple(sorted(directory.glob("ckpt_strategy_rank_*.ckpt"))) if directory.is_dir() else ()
    if not found:
        raise InconsistentError(f"{directory} has no ckpt_strategy_rank_N.ckpt: without it nobody knows how to merge")
    return found


def choose(
    source: Path,
    *,
    tag: str = LAST,
    prefix: str | None = None,
    ranks: int | None = None,
    strategy: Path | None = None,
    needs_strategy: bool = True,
) -> Chosen:
    """Decide by names what to merge; the shards are not opened.

    Raises InconsistentError where the answer is not beyond doubt, the errors of `read_strategies`, and BadInputError
    for a malformed tag.
    """
    wanted = None if tag == LAST else Tag.parse(tag)
    shards = find_shards(source)
    if not shards:
        raise InconsistentError(f"{source} has no rank_N/PREFIX_rank_N-EPOCH_STEP.ckpt, nor has its checkpoint/")
    plan = read_strategies(find_strategies(source, strategy)) if needs_strategy or strategy is not None else None
    count = _count(shards, ranks, plan)
    prefix = _only_prefix(shards, source) if prefix is None else prefix
    by_rank: dict[int, list[Shard]] = {rank: [] for rank in range(count)}
    for shard in shards:
        if shard.prefix == prefix:
            by_rank.setdefault(shard.rank, []).append(shard)
    lacking = [rank for rank in range(count) if not by_rank[rank]]
    if lacking:
        raise InconsistentError(f"{source}: {_have(lacking)} no shard with prefix {prefix} (of {count} ranks)")
    if wanted is None:
        wanted = _newest({rank: by_rank[rank] for rank in range(count)}, source)
    return Chosen(prefix, wanted, _of_tag(by_rank, wanted, count, source), plan)


def _count(shards: Sequence[Shard], ranks: int | None, strategy: Strategy | None) -> int:
    if strategy is None:
        return ranks or max(shard.rank for shard in shards) + 1
    if ranks is not None and ranks != strategy.ranks:
        raise InconsistentError(f"{strategy.path} speaks of {strategy.ranks} ranks, but the run has {ranks}")
    return strategy.ranks


def _only_prefix(shards: Sequence[Shard], source: Path) -> str:
    prefixes = sorted({shard.prefix for shard in shards})
    if len(prefixes) > 1:
        raise InconsistentError(f"{source} has shards of several prefixes ({', '.join(prefixes)}): say which")
    return prefixes[0]


def _newest(by_rank: Mapping[int, Sequence[Shard]], source: Path) -> Tag:
    """Return the newest tag, where ranks agree on it. A bumped name is of a later run, whatever its tag."""
    newest = {rank: max(shards, key=lambda shard: (shard.bump, shard.tag)).tag for rank, shards in by_rank.items()}
    tags = sorted(set(newest.values()))
    if len(tags) > 1:
        said = "; ".join(f"{_ranks([r for r, tag in newest.items() if tag == each])}: {each}" for each in tags)
        raise InconsistentError(
            f"{source}: ranks disagree on their newest tag: {said}; wait for the rest, or name a tag"
        )
    return tags[0]


def _of_tag(by_rank: Mapping[int, Sequence[Shard]], tag: Tag, count: int, source: Path) -> tuple[Shard, ...]:
    """Return each rank's shard of `tag`."""
    found = {rank: [shard for shard in shards if shard.tag == tag] for rank, shards in by_rank.items()}
    lacking = [rank for rank in range(count) if not found[rank]]
    if lacking:
        raise InconsistentError(f"{source}: {_have(lacking)} no shard of tag {tag} (of {count} ranks)")
    beyond = [rank for rank in found if rank >= count and found[rank]]
    if beyond:
        raise InconsistentError(
            f"{source}: {_have(beyond)} a shard of tag {tag} too, but {count} ranks are spoken of: "
            "is the strategy one pipeline stage's of several, or another run's?"
        )
    bumps = {rank: sorted(shard.bump for shard in found[rank]) for rank in range(count)}
    if any(len(each) > 1 for each in bumps.values()) and len(set(map(tuple, bumps.values()))) > 1:
        example = next(found[rank] for rank, each in bumps.items() if len(each) > 1)
        raise InconsistentError(
            f"{source}: tag {tag} was saved by more than one run, and not on all ranks ("
            f"{', '.join(shard.path.name for shard in example)}): which belong together? Move the older run's away"
        )
    return tuple(max(found[rank], key=lambda shard: shard.bump) for rank in range(count))


def _ranks(ranks: Iterable[int]) -> str:
    numbers = sorted(ranks)
    return f"rank{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _have(ranks: Sequence[int]) -> str:
    return f"{_ranks(ranks)} {'has' if len(ranks) == 1 else 'have'}"


def readiness(
    source: Path,
    verdicts: Verdicts,
    *,
    tag: str = LAST,
    prefix: str | None = None,
    ranks: int | None = None,
    strategy: Path | None = None,
    needs_strategy: bool = True,
) -> Readiness:
    """Tell whether the shards of `tag` and their strategy files are complete; opens only shards it does not know.

    A shard counts when its records end exactly at its end, when all ranks' have the same entries, when those are what
    the strategy names, and when it is closed: of mode 0400, or at rest for a while. Raises UnsupportedLayoutError for
    what waiting will not mend, BadInputError for a malformed tag, and OSError for what cannot be read.
    """
    try:
        chosen = choose(source, tag=tag, prefix=prefix, ranks=ranks, strategy=strategy, needs_strategy=needs_strategy)
        first, *others = chosen.shards
        contents = _contents(first, verdicts)
        for shard in others:
            if _contents(shard, verdicts) != contents:
                return NotReady(f"{shard.path} has other entries than {first.path}: is it still being written?")
        if chosen.strategy is not None:
            check_names(chosen.strategy, walk(first.path))
    except UnsupportedLayoutError:
        raise
    except CkptError as error:
        return NotReady(str(error))
    except FileNotFoundError as error:
        return NotReady(f"{error.filename} is not there")  # deleted, or not yet made
    return Ready(chosen.prefix, chosen.tag, chosen.shards)


def _contents(shard: Shard, verdicts: Verdicts) -> str:
    status = shard.path.stat()
    if status.st_mode & 0o200 and time.time() - status.st_mtime < QUIET:
        raise DamagedFileError(f"{shard.path} was written {QUIET:.0f} s ago at most and may still be open")
    return verdicts.contents(shard.path)
