"""The newest save that a training can be resumed from, and the directory that MindFormers resumes from.

MindFormers is told a directory, and picks a file of each rank_N/ in it by itself, with no look at whether it is whole:

* 0.8 to 1.1: the .ckpt that was written last, whatever its tag (get_last_checkpoint in trainer/utils.py);
* 1.2 and later: the newest that the ranks' meta.json agree on, which versions up to 1.3.2 look for by the part of its
  name before the first '-', in vain for `glm-6b` (tools/resume_ckpt.py); as 0.8 does where there is no meta.json.

So the choice is glmd's, and the directory leaves none: one .ckpt a rank, all of one tag, and no meta.json.
From the file MindFormers takes weights, optimizer state, `global_step`, `loss_scale`, and with `epoch_num` (in later
versions `step_num` as well) where to go on; see handlers.resume.resumable. 0.8 shuffles the data anew.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt import CkptError, walk
from handlers.ckpt.files.durable import fsync_directory, fsync_file, make_directory, move
from handlers.mindformers.tags import Place
from handlers.rank_log.progress import Progress
from handlers.resume.resumable import Course, Obstacle, schedule_of
from handlers.shards.health import read_health
from handlers.shards.names import Shard, Tag, find_strategies
from handlers.shards.readiness import Ready
from handlers.shards.saves import Saves

_EPOCH = "epoch_num"
"""The entry that says where to go on; without it MindFormers would train all epochs again on the trained weights."""


@dataclass(frozen=True)
class Expected:
    """What a run writes."""

    prefix: str
    ranks: int
    needs_strategy: bool


@dataclass(frozen=True)
class ResumePoint:
    """A save that is complete on all ranks: the shards are whole, have the same entries, and those of the strategy."""

    tree: Path
    """The output tree that it lies in."""
    tag: Tag
    shards: tuple[Shard, ...]
    """By rank."""


@dataclass(frozen=True)
class Found:
    """What a tree has for the next attempt."""

    point: ResumePoint | None
    """The newest complete save that MindFormers can go on from, or after which nothing is left to train."""
    obstacle: Obstacle | None
    """Why it is not the newest complete one; None where it is, or nothing is complete."""


def newest_useful(tree: Path, expected: Expected, course: Course) -> Found:
    """Return the newest save in `tree` that is complete and of use to the next attempt. Raises OSError."""
    saves = _saves(tree, expected)
    obstacle = None
    for tag in saves.tags:
        hindrance = course.obstacle(tag)
        if hindrance is not None and obstacle is not None:
            continue  # to say it once is enough, and a look at the shards takes long
        point = _point(tree, tag, saves)
        if point is None:
            continue
        hindrance = hindrance or _unhealthy(point)
        if hindrance is None:
            return Found(point, obstacle)
        obstacle = obstacle or hindrance
    return Found(None, obstacle)


def _unhealthy(point: ResumePoint) -> Obstacle | None:
    try:
        objection = read_health(point.tree).objection(point.shards)
    except CkptError as error:
        objection = str(error)
    return Obstacle(objection, "`glmd retry N` begins anew") if objection else None


def newest_complete(tree: Path, expected: Expected) -> ResumePoint | None:
    """Return the newest save in `tree` that is complete; None where there is none. Raises OSError."""
    saves = _saves(tree, expected)
    points = (_point(tree, tag, saves) for tag in saves.tags)
    return next((point for point in points if point is not None), None)


def complete(tree: Path, tag: str, expected: Expected) -> ResumePoint | None:
    """Return the save `tag` in `tree` if it is complete, and says where to go on. Raises OSError."""
    wanted = Tag.parse(tag)
    return _point(tree, wanted, _saves(tree, expected, wanted))


def _saves(tree: Path, expected: Expected, tag: Tag | None = None) -> Saves:
    return Saves(
        tree, prefix=expected.prefix, ranks=expected.ranks, needs_strategy=expected.needs_strategy, directory_of=tag
    )


def _point(tree: Path, tag: Tag, saves: Saves) -> ResumePoint | None:
    """Return the save `tag` if it is complete, and says where to go on. Raises OSError."""
    try:
        ready = saves.look(tag)
    except FileNotFoundError:  # removed meanwhile
        return None
    if not isinstance(ready, Ready) or _EPOCH not in walk(ready.shards[0].path).entries:
        return None
    return ResumePoint(tree, ready.tag, ready.shards)


def lay_out(point: ResumePoint, directory: Path) -> None:
    """Make `directory` an output tree that holds `point` and nothing else.

    It is of hard links, which outlive the tree they are of. It appears whole or not at all; one that is there is made
    anew. Raises OSError.
    """
    unfinished = directory.with_name(f".{directory.name}.tmp")
    for leftover in (unfinished, directory):
        if leftover.exists():
            shutil.rmtree(leftover)
    for shard in point.shards:
        _link(shard.path, unfinished / "checkpoint" / f"rank_{shard.rank}")
    for path in _strategies(point.tree):
        _link(path, unfinished / "strategy")
    move(unfinished, directory)


def _strategies(tree: Path) -> tuple[Path, ...]:
    try:
        return find_strategies(tree)
    except CkptError:  # a data parallel run writes none
        return ()


def _link(path: Path, directory: Path) -> None:
    fsync_file(path)  # no rank does it, and once the next attempt has begun, this save is all there is
    make_directory(directory)
    os.link(path, directory / path.name)
    fsync_directory(directory)


def is_last(tag: Tag, progress: Progress | None, sink_size: int | None) -> bool:
    """Say whether nothing is left to train after the save `tag`; False where that is not known.

    MindFormers refuses to go on from such a save. `sink_size` is None without data sinking.
    """
    return schedule_of(progress, sink_size).place(tag.epoch, tag.step) is Place.RUN_END
