"""A directory that gets its final name with all that is in it, or not at all; what a killed writer left is found again.

Who writes one holds a lock in it, so that nobody takes it for left behind.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from handlers.ckpt.files.durable import fsync_directory, fsync_tree, open_lock

LOCK = ".lock"
"""In the directory while it is being written; who was killed just behind its publishing leaves it there."""
_BEGINNING = 60.0
"""Seconds that a writer may take from making the directory to holding it."""


@contextlib.contextmanager
def publishing_directory(path: Path) -> Iterator[Path]:
    """Yield a new directory with a dot name beside `path`, which becomes `path` when the block ends well.

    Before that all regular files in it are brought to the disk. When the block raises, it is removed. Raises OSError,
    also where something that is no empty directory is at `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    temporary.mkdir(mode=0o700)
    try:
        with _held(temporary):
            yield temporary
            fsync_tree(temporary)
            temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)  # what the disk keeps is removed by `sweep`
        raise
    fsync_directory(path.parent)
    (path / LOCK).unlink(missing_ok=True)
    fsync_directory(path)


@contextlib.contextmanager
def _held(directory: Path) -> Iterator[None]:
    with open_lock(directory / LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def sweep(parent: Path, pattern: str) -> Iterator[Path]:
    """Remove the directories that killed writers left in `parent`, and yield each. Raises OSError.

    Those that somebody writes stay.
    """
    for directory in sorted(parent.glob(f".{pattern}.tmp")):
        if directory.is_symlink() or not directory.is_dir():
            continue
        with contextlib.ExitStack() as stack:
            if _is_left(directory, stack):
                shutil.rmtree(directory)
                yield directory


def _is_left(directory: Path, stack: contextlib.ExitStack) -> bool:
    """Say whether nobody writes `directory`; its lock, if there is one, is held until `stack` ends then."""
    try:
        lock = stack.enter_context((directory / LOCK).open("rb+"))
    except FileNotFoundError:
        return time.time() - directory.stat().st_mtime > _BEGINNING
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
