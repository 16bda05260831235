"""Looking for names that may have come to be on another host.

A client of a network file system that has found a name absent says so for up to a minute, however often it looks
(acdirmax, man 5 nfs). Opening the directory lets it ask the server whether anything has changed in there.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def listed(paths: Iterable[Path], within: Path) -> set[Path]:
    """Return which of `paths`, all below the directory `within`, are there, by listings. Raises OSError.

    `within` must have been there before anybody looked for it. Each directory is listed once at most.
    """
    names: dict[Path, frozenset[str]] = {within.parent: frozenset((within.name,))}

    def is_there(path: Path) -> bool:
        parent = path.parent
        if parent not in names:
            if not is_there(parent):
                return False
            names[parent] = _names_in(parent)
        return path.name in names[parent]

    return {path for path in paths if is_there(path)}


def is_listed(path: Path) -> bool:
    """Say whether `path` is there, by a listing of its directory. Raises OSError."""
    return bool(listed((path,), path.parent))


def freshen(paths: Iterable[Path], within: Path) -> None:
    """Let `paths` be found if they are there: list as `listed` does, as far as it can be done."""
    with contextlib.suppress(OSError):  # who opens them then says what is wrong
        listed(paths, within)


def _names_in(directory: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))  # noqa: PTH208 - of many, Paths take long
    except (FileNotFoundError, NotADirectoryError):  # removed, or somebody's file
        return frozenset()
