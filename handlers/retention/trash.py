"""Removing what there is of a part of a job: renamed into `jobs/.trash/` first, then unlinked, file by file.

Whatever lies in the trash is nobody's any more: a kill between two steps leaves it there, and the next one empties it.
The rename is one step for a merged output and for a whole directory. Shards are renamed one by one, the oldest save
first, so what is left of a save that is being removed is never complete on all ranks while a newer one is not; a save
in MindFormers' new format is one directory, and its tracker goes before it.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from handlers.ckpt.files.durable import fsync_directory, make_directory, move, publish_bytes
from handlers.ckpt.publishing.manifest import NAME as MANIFEST
from handlers.host.reach import is_at_work
from handlers.records.job_dir import JobDir
from handlers.retention.part import Part
from handlers.retention.pieces import Piece
from handlers.shards.names import Shard, Tag, is_iteration

NAME = ".trash"
"""In `jobs/`, so that it is on the same file system."""


def discard(directory: JobDir, part: Part, piece: Piece, place: Path) -> None:
    """Move what there is of a part to `place`, a new directory in the trash. Raises OSError.

    Done again after a kill, it moves what is left.
    """
    if not piece.paths:
        return
    make_directory(place)
    if part is Part.MERGED:  # what it was made from stays known
        publish_bytes(directory.manifest, (directory.merged / MANIFEST).read_bytes())
    if part in {Part.MERGED, Part.RECORDS}:
        (whole,) = piece.paths
        move(whole, _free(place / whole.name))
        return
    for path in sorted(piece.paths, key=_oldest_first):
        with suppress(FileNotFoundError):  # somebody was quicker
            path.rename(_free(place / path.name))
    fsync_directory(place)
    for parent in {path.parent for path in piece.paths}:
        fsync_directory(parent)


def empty(trash: Path) -> None:
    """Unlink all that lies in the trash, and tell anyone who waits for it that this goes on. Raises OSError."""
    if not trash.is_dir() or trash.is_symlink():
        return
    for parent, directories, names in os.walk(trash, topdown=False):
        for name in names:
            Path(parent, name).unlink(missing_ok=True)
            is_at_work()
        for path in (Path(parent, name) for name in directories):
            if stat.S_ISDIR(path.lstat().st_mode):
                path.rmdir()
            else:
                path.unlink()
    with suppress(FileNotFoundError):
        trash.rmdir()
    fsync_directory(trash.parent)


def _oldest_first(path: Path) -> tuple[object, ...]:
    if is_iteration(path):
        return (Tag.parse(path.name), str(path))
    shard = Shard.named(path)
    return () if shard is None else (shard.tag, str(path))


def _free(path: Path) -> Path:
    """Return `path`, or one like it that is not there: the trees of two attempts have files of one name."""
    number = 0
    while os.path.lexists(free := path.with_name(f"{number}-{path.name}") if number else path):
        number += 1
    return free
