"""What there is of each part of a job on disk: the files, their bytes, and why in doubt it is left alone.

Only what glmd or its ranks have made counts, by place and name; nothing is followed: a link, a mount, a stranger's file
in the way is a reason to keep the part, and to say so.
"""

import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt import CkptError
from handlers.ckpt.publishing.manifest import NAME as MANIFEST
from handlers.ckpt.publishing.manifest_outline import read_outline
from handlers.host.reach import is_at_work
from handlers.records.job_dir import JobDir
from handlers.retention.part import Part
from handlers.shards.iterations import read_tracker
from handlers.shards.names import (
    DIRECTORIES,
    SHARD_DIRECTORIES,
    TRACKER,
    Shard,
    Tag,
    is_iteration,
    iteration_directories,
    rank_directories,
)
from handlers.shards.names import Part as OfTraining

YOUNG = 3600.0
"""Seconds in which a file was changed that is left alone, whatever the rules say."""

_READ = ("submitted.yaml", "config.yaml", "checked.json", "inputs.json", "plan.json")
_RESULTS = ("verdict.json", "manifest.json", "events.jsonl", "defect.txt")
_OWN = frozenset((*_READ, *_RESULTS, "output", "merged", "attempts", "initial"))
_MADE_IN_SAVE = re.compile(r".+\.(safetensors|json)(\.tmp)?|tmp\w+", re.ASCII)
"""What ranks make in the directory of a save in the new format; what a killed one leaves among it."""
_RANK_TABLE = "hccl_"
"""What glmd makes in a job's directory."""


@dataclass(frozen=True)
class Piece:
    """What there is of one part of a job."""

    paths: tuple[Path, ...]
    """What is moved away to remove it: files, directories of saves in MindFormers' new format, or one directory."""
    bytes: int
    changed: float
    """When any of it was changed last, in seconds since the epoch."""
    doubt: str = ""
    """Why it is left alone; empty where it need not be."""


class _Strange(Exception):  # noqa: N818 - it is no error, and goes no further than this module
    """Something is not as glmd and its ranks leave it."""


def pieces(directory: JobDir, owner: int, *, records: bool = True) -> dict[Part, Piece]:
    """Return what there is of a job in its `directory`; `owner` is the user whose files glmd's are. Raises OSError.

    Its records are a part where there is nothing else; to look at them takes long, and `records` may leave that out.
    """
    is_at_work()
    try:
        device = _looked_at(directory.path, owner).st_dev
    except FileNotFoundError:
        return {}
    except _Strange as strange:
        return {part: Piece((), 0, 0.0, str(strange)) for part in Part}
    look = _Look(owner, device)
    found: dict[Part, Piece] = {}
    shards = look.at(lambda: look.saves([*_shards(directory, look), *_iterations(directory, look)]))
    if shards.paths or shards.doubt:
        found[Part.SHARDS] = shards
        older = look.at(lambda: look.saves([*_older(_shards(directory, look)), *_older_iterations(directory, look)]))
        if older.paths:
            found[Part.OLDER_SHARDS] = older
    if os.path.lexists(directory.merged) and not look.is_empty(directory.merged):
        found[Part.MERGED] = look.at(lambda: look.merged(directory.merged))
    if records and not found:
        found[Part.RECORDS] = look.at(lambda: look.records(directory))
    return found


class _Look:
    def __init__(self, owner: int, device: int) -> None:
        self._owner = owner
        self._device = device

    def at(self, find: Callable[[], Piece]) -> Piece:
        """Return what is found, with the doubt that there is."""
        try:
            return find()
        except _Strange as strange:
            return Piece((), 0, 0.0, str(strange))

    def directory(self, path: Path) -> bool:
        """Say whether a directory is there; raises _Strange for what glmd has not made in its place."""
        try:
            status = _looked_at(path, self._owner)
        except FileNotFoundError:
            return False
        if status.st_dev != self._device:
            raise _Strange(f"{path} is on another file system")
        return True

    def is_empty(self, path: Path) -> bool:
        """Say whether a directory of glmd's is there with nothing in it: a merge that had no room leaves one."""
        try:
            return self.directory(path) and not any(path.iterdir())
        except _Strange:
            return False

    def is_below(self, top: Path, path: Path) -> bool:
        """Say whether the directory `path` is there, below `top`, with nothing strange on the way."""
        way = [path, *path.parents]
        return all(self.directory(place) for place in reversed(way[: way.index(top)]))

    def files(self, paths: Iterable[Path]) -> Piece:
        """Return these files as a piece."""
        found = sorted(paths)
        size, changed, seen = 0, 0.0, set()
        for path in found:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise _Strange(f"{path} is no file")
            if status.st_uid != self._owner:
                raise _Strange(f"{path} belongs to another user")
            changed = max(changed, status.st_mtime, status.st_ctime)
            size += status.st_size * (status.st_ino not in seen)
            seen.add(status.st_ino)
        return Piece(tuple(found), size, changed)

    def saves(self, paths: Sequence[Path]) -> Piece:
        """Return these shards, and directories of whole saves, as a piece."""
        whole = [path for path in paths if is_iteration(path)]
        within = [inner for path in whole for inner in path.iterdir()]
        for path in within:
            if not _MADE_IN_SAVE.fullmatch(path.name):
                raise _Strange(f"{path}: no rank has made it")
        found = self.files([*(path for path in paths if not is_iteration(path)), *within])
        left = tuple(path for path in found.paths if path not in set(within))
        return Piece((*left, *whole), found.bytes, found.changed)

    def merged(self, directory: Path) -> Piece:
        """Return the merged output: a whole one, as its manifest says, and nothing beside it."""
        self.directory(directory)
        try:
            names = {MANIFEST, *read_outline(directory / MANIFEST).names}
        except (FileNotFoundError, CkptError):
            raise _Strange(f"{directory} has no {MANIFEST} that says what belongs to it") from None
        if others := sorted({path.name for path in directory.iterdir()} - names):
            raise _Strange(f"{directory / others[0]}: no merge has made it")
        found = self.files(path for path in directory.iterdir())
        return Piece((directory,), found.bytes, max(found.changed, directory.stat().st_ctime))

    def records(self, directory: JobDir) -> Piece:
        """Return all that is there, as one directory."""
        for path in sorted(directory.path.iterdir()):
            if path.name not in _OWN and not path.name.startswith(_RANK_TABLE):
                raise _Strange(f"{path}: glmd has not made it")
        size = 0
        for parent, directories, names in os.walk(directory.path):
            for path in (Path(parent, name) for name in directories):
                if not path.is_symlink():
                    self.directory(path)
            size += sum(Path(parent, name).lstat().st_size for name in names)
        # When it was changed says nothing here: whatever is removed of a job changes its directory.
        return Piece((directory.path,), size, 0.0)


def _looked_at(path: Path, owner: int) -> os.stat_result:
    """Return what is known of a directory of glmd's; raises _Strange where it is none, and FileNotFoundError."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _Strange(f"{path} is no directory")
    if status.st_uid != owner:
        raise _Strange(f"{path} belongs to another user")
    return status


def _shards(directory: JobDir, look: _Look) -> Iterator[Path]:
    """Yield the shards of all attempts, by their names and places."""
    for tree in _trees(directory):
        for name in SHARD_DIRECTORIES:
            if look.is_below(directory.path, tree / name):
                for ranks in rank_directories(tree / name):
                    look.directory(ranks)
                    yield from (path for path in ranks.iterdir() if _shard(path) is not None)


def _iterations(directory: JobDir, look: _Look) -> Iterator[Path]:
    """Yield the saves in MindFormers' new format of all attempts, and the trackers that name them."""
    for tree in _trees(directory):
        saves = tree / DIRECTORIES[OfTraining.ITERATION]
        if look.is_below(directory.path, saves):
            whole = iteration_directories(saves)
            yield from (path for path in whole if look.directory(path))
            if whole and (saves / TRACKER).exists():
                yield saves / TRACKER


def _older_iterations(directory: JobDir, look: _Look) -> Iterator[Path]:
    """Yield the saves in the new format that are older than the newest complete one; none where there is no such."""
    there = [path for path in _iterations(directory, look) if is_iteration(path)]
    complete = [path for path in there if _is_tracked(path)]
    newest = max(map(_tag, complete), default=None)
    yield from (path for path in there if newest is not None and _tag(path) < newest)


def _is_tracked(save: Path) -> bool:
    try:
        return _tag(save).step <= read_tracker(save.parent)
    except CkptError:  # cut off, or none: then nobody knows which are complete
        return False


def _tag(save: Path) -> Tag:
    return Tag.parse(save.name)


def _trees(directory: JobDir) -> Iterator[Path]:
    earlier = (
        tree
        for attempt in directory.attempts()
        for tree in (directory.earlier_output(attempt), directory.resume_from(attempt))
    )
    yield from dict.fromkeys((directory.output, *earlier))  # on nodes the former is one of the latter


def _shard(path: Path) -> Shard | None:
    try:
        return Shard.named(path)
    except CkptError:  # in another rank's directory: no rank has put it there
        raise _Strange(f"{path} lies in another rank's directory") from None


def _older(paths: Iterable[Path]) -> list[Path]:
    """Return the shards but those of the newest save that all ranks have; none where there is no such save."""
    tags: defaultdict[Path, dict[int, set[Shard]]] = defaultdict(dict)
    shards = [shard for path in paths if (shard := _shard(path)) is not None]
    for shard in shards:
        tags[_tree(shard)].setdefault(shard.rank, set()).add(shard)
    newest = {tree: _newest(ranks) for tree, ranks in tags.items() if tree.name == SHARD_DIRECTORIES[0]}
    best = max((tag for tag in newest.values() if tag is not None), default=None)
    return [] if best is None else [shard.path for shard in shards if shard.tag < best]


def _tree(shard: Shard) -> Path:
    return shard.path.parent.parent


def _newest(ranks: Mapping[int, set[Shard]]) -> Tag | None:
    common = set.intersection(*({shard.tag for shard in shards} for shards in ranks.values()))
    return max(common, default=None)
