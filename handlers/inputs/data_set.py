"""Files that are one data set: a MindRecord is read with its index, and its parts together.

MindSpore's FileWriter calls one file NAME, and several NAME0, NAME1, … (NAME00 where there are more than ten); each
has an index beside it, an SQLite file NAME.db, without which nothing can be read.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from handlers.unfinished import is_ignored

INDEX = ".db"
_MINDRECORD = re.compile(r"(?P<name>.*\.mindrecord)(?P<number>[0-9]*)", re.DOTALL)


@dataclass(frozen=True)
class DataSet:
    """What a YAML names by one path, and is read whole."""

    path: Path
    """What to name: the first of several parts, from which MindSpore finds the others."""
    parts: tuple[Path, ...]

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """All that counts: the parts, each with its index behind it, where it has one or has to."""
        return tuple(file for part in self.parts for file in _with_index(part))

    @property
    def gap(self) -> str:
        """Say which part is missing before the last; empty where none is."""
        numbers = [int(number) for part in self.parts if (number := _number(part))]
        missing = next((at for at, number in enumerate(numbers) if at != number), None)
        return "" if missing is None else f"its part {missing} is missing"


def data_sets(paths: Iterable[Path]) -> Iterator[DataSet]:
    """Yield each data set that one of `paths` belongs to, once; indexes and unfinished files are none.

    Raises OSError where a directory cannot be read.
    """
    seen: set[Path] = set()
    for path in paths:
        if is_ignored(path.name) or _is_index(path):
            continue
        parts = _parts(path) if _number(path) else (path,)
        if parts[0] not in seen:
            seen.add(parts[0])
            yield DataSet(parts[0], parts)


def _parts(path: Path) -> tuple[Path, ...]:
    """Return all parts of the MindRecord that `path` is one of, in their order."""
    match = _MINDRECORD.fullmatch(path.name)
    name, digits = (match["name"], len(match["number"])) if match else (path.name, 0)
    like = re.compile(f"{re.escape(name)}[0-9]{{{digits}}}", re.ASCII)
    return tuple(sorted(file for file in path.parent.iterdir() if like.fullmatch(file.name)))


def _number(path: Path) -> str:
    match = _MINDRECORD.fullmatch(path.name)
    return match["number"] if match else ""


def _is_index(path: Path) -> bool:
    """Say whether `path` is the index of a file beside it, or of a MindRecord that is still to come."""
    of = path.with_suffix("")
    return path.suffix == INDEX and (_MINDRECORD.fullmatch(of.name) is not None or of.exists())


def _with_index(part: Path) -> tuple[Path, ...]:
    index = part.with_name(f"{part.name}{INDEX}")
    has = _MINDRECORD.fullmatch(part.name) is not None or index.exists()
    return (part, index) if has else (part,)
