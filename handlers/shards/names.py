"""Shards and strategy files by their names, and where they lie in an output tree.

    SOURCE/checkpoint/rank_N/{prefix}_rank_N[_{bump}]-{epoch}_{step}.ckpt       or .safetensors
    SOURCE/checkpoint_network/rank_N/{prefix}_rank_N[_{bump}]-network-{epoch}_{step}.ckpt
    SOURCE/checkpoint_trainable/rank_N/{prefix}_rank_N[_{bump}]-trainable_params-{epoch}_{step}.ckpt
    SOURCE/strategy/ckpt_strategy_rank_N.ckpt                                   or .json

The second is MindFormers' save_network_params, the third its save_trainable_params. Until 1.3 both have one file a
rank, without a time, as `-network.ckpt`; since 1.6 one a save. SOURCE may also be one of the first three directories
itself. `bump` appears when a run finds files of its prefix in the rank's directory, so ranks of one run can differ in
it. `graph.meta`, `meta.json` (which says no more than the names, and may come later than the shard that it names),
what ends in .tmp, and whatever else lies there is ignored. Names: MindSpore's train/callback/_checkpoint.py,
MindFormers' core/callback/callback.py.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from handlers.ckpt import Format, InconsistentError
from handlers.ckpt import codes as ckpt
from handlers.ckpt.files.listing import freshen
from handlers.codes import Code
from handlers.errors import BadInputError

LAST = "last"
"""The tag that every rank has as its newest."""


class Part(StrEnum):
    """What of a training a save holds, as tags say it."""

    ALL = ""
    NETWORK = "network"
    """The weights alone."""
    TRAINABLE = "trainable_params"
    """Those of them that are trained."""
    ITERATION = "iteration"
    """All, in MindFormers' new format (handlers.shards.iterations), whose tags have no epoch: iteration_00000008."""


DIRECTORIES = {Part.ALL: "checkpoint", Part.NETWORK: "checkpoint_network", Part.TRAINABLE: "checkpoint_trainable"}
DIRECTORIES[Part.ITERATION] = DIRECTORIES[Part.ALL]
"""Where in an output tree each of them is."""
SHARD_DIRECTORIES = tuple(dict.fromkeys(DIRECTORIES.values()))
"""Where an output tree has the rank_N/ that hold shards."""
TRACKER = "latest_checkpointed_iteration.txt"
"""What names the newest complete save in MindFormers' new format."""
SUFFIXES = (".ckpt", ".safetensors", ".json")
"""How the names of shards and strategy files end."""

_RANK_DIRECTORY = re.compile(r"rank_(\d{1,6})", re.ASCII)
_SHARD = re.compile(
    r"(?P<prefix>.+)_rank_(?P<rank>\d{1,6})(?:_(?P<bump>\d{1,6}))?-"
    r"(?P<tag>(?:(?:network|trainable_params)-)?\d{1,9}_\d{1,9}|network|trainable_params)\."
    r"(?P<format>ckpt|safetensors)",
    re.ASCII,
)
_STRATEGY = re.compile(r"ckpt_strategy_rank_(?P<rank>.+)\.(ckpt|json)", re.ASCII)
_LAST_NUMBER = re.compile(r"(?:^|_rank_)(\d{1,6})$", re.ASCII)
"""MindFormers may add the rank to a name that has it: ckpt_strategy_rank_0_rank_0.ckpt."""
_ITERATION = re.compile(r"iteration_(\d{8,9})", re.ASCII)
_OF_ITERATION = re.compile(r".+\.safetensors", re.ASCII)
_TAG = re.compile(r"(?:(network|trainable_params)-)?(\d{1,9})_(\d{1,9})", re.ASCII)


@dataclass(frozen=True, order=True, slots=True)
class Tag:
    """When a shard was saved, as `31_4`, and what of the training; ordered by number, so that 9_4 is before 31_4."""

    epoch: int
    step: int
    part: Part = Part.ALL

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read EPOCH_STEP, alone or behind the name of a part and `-`, such a name alone, or iteration_N.

        Raises BadInputError.
        """
        if text in {Part.NETWORK, Part.TRAINABLE}:
            return cls(-1, -1, Part(text))
        if (match := _ITERATION.fullmatch(text)) is not None:
            return cls(0, int(match[1]), Part.ITERATION)
        match = _TAG.fullmatch(text)
        if match is None:
            raise BadInputError(
                f"tag {text!r} is neither `{LAST}` nor EPOCH_STEP, as `31_4`, nor `network`, `network-31_4`, "
                "`trainable_params`, `trainable_params-31_4` or `iteration_00000124`",
                Code.MERGE_TAG_FORM,
            )
        return cls(int(match[2]), int(match[3]), Part(match[1] or ""))

    @property
    def timed(self) -> bool:
        """Tell whether it says when. `network` in a name does not; where it is asked for, it is the newest of them."""
        return self.epoch >= 0

    def __str__(self) -> str:
        if self.part is Part.ITERATION:
            return f"iteration_{self.step:08}"
        return "-".join(filter(None, (self.part, f"{self.epoch}_{self.step}" if self.timed else "")))


NETWORK = Tag(-1, -1, Part.NETWORK)
"""Of the weights alone, which MindFormers until 1.3 saves over those of the save before, without a time."""


def parse_tag(text: str) -> Tag | None:
    """Read a tag, or None for `last`; raises BadInputError."""
    return None if text == LAST else Tag.parse(text)


@dataclass(frozen=True, slots=True)
class Shard:
    """One rank's checkpoint file of one tag, by its name."""

    path: Path
    prefix: str
    rank: int
    bump: int
    """0 where the name has none."""
    tag: Tag
    format: Format = Format.CKPT

    @classmethod
    def named(cls, path: Path) -> Self | None:
        """Read a path's name; None where it is no shard's. Raises InconsistentError for one in another's directory."""
        match = _SHARD.fullmatch(path.name)
        if match is None:
            return None
        rank = int(match["rank"])
        directory = rank_of_directory(path.parent)
        if directory not in {None, rank}:
            message = f"{path} is named for rank {rank} but lies in rank {directory}'s directory"
            raise InconsistentError(message, ckpt.Code.SHARDS_MIXED)
        return cls(
            path, match["prefix"], rank, int(match["bump"] or 0), Tag.parse(match["tag"]), Format(match["format"])
        )


def rank_of_directory(path: Path) -> int | None:
    """Return N of rank_N, None for any other name."""
    match = _RANK_DIRECTORY.fullmatch(path.name)
    return None if match is None else int(match[1])


def shards_directory(source: Path, tag: Tag | None) -> Path:
    """Return the directory whose rank_N/ hold the shards of `tag`: the tree's, or `source` itself."""
    inside = source / DIRECTORIES[Part.ALL if tag is None else tag.part]
    return inside if inside.is_dir() else source


def rank_directories(directory: Path) -> list[Path]:
    """Return the rank_N/ in `directory`, by rank."""
    ranks = {path: rank_of_directory(path) for path in directory.iterdir() if path.is_dir()}
    return sorted((path for path, rank in ranks.items() if rank is not None), key=lambda path: ranks[path] or 0)


def find_shards(source: Path, tag: Tag | None = None) -> tuple[Shard, ...]:
    """Return all shards beside those of `tag`, by rank and name; raises InconsistentError for a misplaced one."""
    directory = shards_directory(source, tag)
    return tuple(shard for ranks in rank_directories(directory) for shard in _shards_in(sorted(ranks.iterdir())))


def iteration_directories(directory: Path) -> list[Path]:
    """Return the iteration_N/ in `directory`, the oldest first."""
    numbers = {path: match for path in directory.iterdir() if (match := _ITERATION.fullmatch(path.name))}
    return sorted((path for path in numbers if path.is_dir()), key=lambda path: int(numbers[path][1]))


def is_iteration(path: Path) -> bool:
    """Tell by its name whether a path is the directory of a save in the new format."""
    return _ITERATION.fullmatch(path.name) is not None


def holds_shards(source: Path) -> bool:
    """Say whether an output tree has any shard, whatever its tag or prefix: by names, and no further than the first.

    Raises OSError.
    """
    return any(any(_shards_below(directory)) for directory in _directories_of_shards(source))


def size_of_shards(source: Path) -> int:
    """Return the bytes of all shards in an output tree, by their names, wherever they belong. Raises OSError."""
    found = 0
    for directory in _directories_of_shards(source):
        for shard in _shards_below(directory):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile for a newer one
                found += shard.stat().st_size
    return found


def see_anew(source: Path) -> None:
    """Let this host see what other hosts have made in an output tree since it looked there.

    What lies further below is found by listings.
    """
    freshen((source / name / TRACKER for name in (*SHARD_DIRECTORIES, "strategy")), source)


def _directories_of_shards(source: Path) -> Iterator[Path]:
    """Yield each rank_N/ and iteration_N/ of an output tree."""
    for name in SHARD_DIRECTORIES:
        if (source / name).is_dir():
            yield from rank_directories(source / name)
    if (source / DIRECTORIES[Part.ITERATION]).is_dir():
        yield from iteration_directories(source / DIRECTORIES[Part.ITERATION])


def _shards_below(directory: Path) -> Iterator[Path]:
    """Yield the shards in a rank_N/ or an iteration_N/, by their names; none where it was removed meanwhile."""
    pattern = _OF_ITERATION if is_iteration(directory) else _SHARD
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        yield from [Path(entry) for entry in entries if pattern.fullmatch(entry.name) and entry.is_file()]


def shards_of(files: Sequence[Path]) -> tuple[Shard, ...]:
    """Return explicit files as shards; raises BadInputError where a name does not say whose, or nothing is there."""
    shards = tuple(_shards_in(files))
    others = sorted(set(files) - {shard.path for shard in shards})
    if others:
        why = "its name is not PREFIX_rank_N-EPOCH_STEP.ckpt" if others[0].is_file() else "there is no such file"
        raise BadInputError(f"{others[0]}: it is named as a shard, but {why}", Code.MERGE_NOT_A_SHARD)
    return shards


def _shards_in(paths: Sequence[Path]) -> Iterator[Shard]:
    for path in paths:
        if path.is_file():
            shard = Shard.named(path)
            if shard is not None:
                yield shard


def strategy_directory(source: Path) -> Path:
    """Return where the run in `source` leaves its strategy files."""
    own = source / "strategy"
    is_root = own.is_dir() or any((source / name).is_dir() for name in SHARD_DIRECTORIES)
    return own if is_root else source.parent / "strategy"


def is_strategy(path: Path) -> bool:
    """Tell whether a strategy file has this name."""
    return _STRATEGY.fullmatch(path.name) is not None


def rank_of_strategy(path: Path) -> int | None:
    """Return the rank that wrote a strategy file, by its name; None for any other name."""
    match = _STRATEGY.fullmatch(path.name)
    number = None if match is None else _LAST_NUMBER.search(match["rank"])
    return None if number is None else int(number[1])


def find_strategies(source: Path, strategy: Path | None = None) -> tuple[Path, ...]:
    """Return the strategy files: `strategy` itself, those in it, or the tree's; raises InconsistentError if none."""
    if strategy is not None and not strategy.is_dir():
        return (strategy,)
    directory = strategy or strategy_directory(source)
    found = tuple(sorted(path for path in directory.iterdir() if is_strategy(path))) if directory.is_dir() else ()
    if not found:
        raise no_strategy(directory)
    return found


def no_strategy(directory: Path) -> InconsistentError:
    """Say that a directory has no strategy files."""
    return InconsistentError(
        f"{directory} has no ckpt_strategy_rank_N.ckpt (or .json): without it glmd does not know how to merge",
        ckpt.Code.NO_STRATEGY,
    )
