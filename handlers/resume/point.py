"""The newest save that a training can be resumed from, and the directory that MindFormers resumes from.

MindFormers is told a directory, and picks a file of each rank_N/ in it by itself, with no look at whether it is whole:

* 0.8 to 1.1: the .ckpt that was written last, whatever its tag (get_last_checkpoint in trainer/utils.py);
* 1.2 and later: the newest that the ranks' meta.json agree on, which versions up to 1.3.2 look for by the part of its
  name before the first '-', in vain for `glm-6b` (tools/resume_ckpt.py); as 0.8 does where there is no meta.json.

So the choice is glmd's, and the directory leaves none: one file a rank, all of one tag, and no meta.json. Safetensors
are named besides (resume_training: NAME): 1.9 looks for rank 0's name in each rank's directory, so that no bump is in
it. Of saves in the new format, which are directories, one is named. What ranks that hold the whole network have shared
out among them is united first; see handlers.resume.uniting.
From the file MindFormers takes weights, optimizer state, `global_step`, `loss_scale`, and with `epoch_num` (in later
versions `step_num` as well) where to go on; see handlers.resume.resumable. 0.8 shuffles the data again.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt import CkptError, Format, walk
from handlers.ckpt.files.durable import fsync_directory, fsync_file, make_directory, move, publish_bytes
from handlers.ckpt.formats.iteration_json import NAME as METADATA
from handlers.mindformers.tags import Place
from handlers.rank_log.progress import Progress
from handlers.resume.config import Beginning
from handlers.resume.resumable import Course, Obstacle, place_of, schedule_of
from handlers.resume.uniting import CopyProgress, planned, unite
from handlers.shards.health import read_health
from handlers.shards.iterations import COMMON, is_optimizer_file, read_common, unhealthy
from handlers.shards.names import DIRECTORIES, TRACKER, Part, Shard, Tag, find_strategies
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
    """By rank; the files of a save in the new format by name."""

    @property
    def is_iteration(self) -> bool:
        """Whether it is of MindFormers' new format."""
        return self.tag.part is Part.ITERATION


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
        hindrance = course.spoilt.get(tag) or course.obstacle(tag)
        if hindrance is not None and obstacle is not None:
            continue  # to say it once is enough, and a look at the shards takes long
        point = _point(tree, tag, saves)
        if point is None:
            continue
        hindrance = hindrance or _unhealthy(point) or _without_optimizer(point, course)
        hindrance = hindrance or _not_to_be_united(point, expected, course)
        if hindrance is None:
            return Found(point, obstacle)
        obstacle = obstacle or hindrance
    return Found(None, obstacle)


def _unhealthy(point: ResumePoint) -> Obstacle | None:
    try:
        if point.is_iteration:
            objection = unhealthy(_directory(point))
        else:
            objection = read_health(point.tree).objection(point.shards)
    except CkptError as error:
        objection = str(error)
    return Obstacle(objection, "`glmd retry N` starts from the beginning") if objection else None


def _without_optimizer(point: ResumePoint, course: Course) -> Obstacle | None:
    """Return why a save in the new format cannot be resumed from, if it was saved so, and anything is left to train."""
    if not point.is_iteration or place_of(point.tag, course.schedule) is Place.RUN_END:
        return None
    if any(is_optimizer_file(shard.path) for shard in point.shards):
        return None
    what = f"{_directory(point)} was saved without the optimizer's state"
    return Obstacle(what, "leave checkpoint.no_save_optim out")


def is_to_be_united(point: ResumePoint, *, is_cut: bool) -> bool:
    """Say whether the shards lack what others have, and MindFormers loads such into a network that `is_cut` only."""
    first = point.shards[0]
    return not (point.is_iteration or is_cut or first.format is Format.CKPT) and walk(first.path).lacks_replicas


def _not_to_be_united(point: ResumePoint, expected: Expected, course: Course) -> Obstacle | None:
    """Return why shards that are to be united cannot be, as far as their headers tell."""
    if place_of(point.tag, course.schedule) is Place.RUN_END or not is_to_be_united(point, is_cut=course.is_cut):
        return None
    what = f"{point.tag} leaves out replicas, and MindFormers loads such a save into a cut network only"
    if expected.needs_strategy:
        return Obstacle(what, "set remove_redundancy to False")
    try:
        planned(point.shards)
    except CkptError as error:
        return not_united(point.tag, error)
    return None


def not_united(tag: Tag, error: CkptError) -> Obstacle:
    """Return the obstacle that the shards of `tag` do not fit together."""
    return Obstacle(f"the shards of {tag} cannot be united: {error}", "`glmd inspect` shows what is in each")


def _directory(point: ResumePoint) -> Path:
    return point.shards[0].path.parent


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
    if not isinstance(ready, Ready) or not _says_where(ready):
        return None
    return ResumePoint(tree, ready.tag, ready.shards)


def _says_where(ready: Ready) -> bool:
    """Say whether a save tells where to go on."""
    if ready.tag.part is not Part.ITERATION:
        return _EPOCH in walk(ready.shards[0].path).entries
    try:
        return not read_common(ready.shards[0].path.parent).missing
    except CkptError:
        return False


def beginning(point: ResumePoint, laid_out: Path, *, is_directory: bool, is_united: bool = False) -> Beginning:
    """Return what MindFormers is to be told of `point`, laid out by `lay_out`; `is_directory` where it may be no file.

    `is_united` where its shards were. Raises the errors of `walk`.
    """
    saves = laid_out / DIRECTORIES[Part.ALL]
    if point.is_iteration:
        return Beginning(saves / str(point.tag), Format.SAFETENSORS, is_iteration=True)
    first = point.shards[0]
    if first.format is Format.SAFETENSORS:
        is_shared_out = not is_united and walk(first.path).lacks_replicas
        return Beginning(saves, Format.SAFETENSORS, resume=_name(first), is_shared_out=is_shared_out)
    return Beginning(saves if is_directory else saves / "rank_0" / _name(first))


def _name(shard: Shard) -> str:
    """Return a shard's name without the bump, in which ranks may differ."""
    return f"{shard.prefix}_rank_{shard.rank}-{shard.tag}.{shard.format}"


def lay_out(point: ResumePoint, directory: Path, *, unites: bool = False, progress: CopyProgress | None = None) -> None:
    """Make `directory` an output tree that holds `point` and nothing else.

    It is of hard links, which outlive the tree they are of; where it `unites` the shards, all are of the one file that
    is written, of which `told` hears. It appears whole or not at all; one that is there is made again. Raises OSError,
    and CkptError where shards cannot be united.
    """
    unfinished = directory.with_name(f".{directory.name}.tmp")
    for leftover in (unfinished, directory):
        if leftover.exists():
            shutil.rmtree(leftover)
    saves = unfinished / DIRECTORIES[Part.ALL]
    if point.is_iteration:
        source = _directory(point)
        for path in (*(shard.path for shard in point.shards), source / METADATA, source / COMMON):
            _link(path, saves / str(point.tag) / path.name)
        publish_bytes(saves / TRACKER, str(point.tag.step).encode())
        move(unfinished, directory)
        return
    united = unite(point.shards, unfinished / "united", progress) if unites else None
    for shard in point.shards:
        _link(united or shard.path, saves / f"rank_{shard.rank}" / _name(shard))
    if united is not None:
        shutil.rmtree(united.parent)
    for path in _strategies(point.tree):
        _link(path, unfinished / "strategy" / path.name)
    move(unfinished, directory)


def _strategies(tree: Path) -> tuple[Path, ...]:
    try:
        return find_strategies(tree)
    except CkptError:  # a data parallel run writes none
        return ()


def _link(path: Path, link: Path) -> None:
    fsync_file(path)  # no rank does it, and once the next attempt has begun, this save is all there is
    make_directory(link.parent)
    os.link(path, link)
    fsync_directory(link.parent)


def is_last(tag: Tag, progress: Progress | None, sink_size: int | None) -> bool:
    """Say whether nothing is left to train after the save `tag`; False where that is not known.

    MindFormers refuses to go on from such a save. `sink_size` is None without data sinking.
    """
    return place_of(tag, schedule_of(progress, sink_size)) is Place.RUN_END
