"""Finding what a pattern stands for: its newest whole data set, or all of them."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from pathlib import Path

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.host.reach import reach
from handlers.inputs.data_set import DataSet, data_sets
from handlers.inputs.whole import why_not_whole
from handlers.printable import printable
from handlers.validate.allowed_paths import is_inside, resolved

_MOST_MATCHES = 100_000
"""Of one pattern: more than a directory of data sets has."""
_SHOWN = 3


class By(Enum):
    """What makes one data set newer than another."""

    TIME = auto()
    """When the last of its files was modified."""
    NAME = auto()
    """Its path, where numbers count as numbers: part10 is behind part9."""


@dataclass
class Search:
    """Looks for data sets where a training may read. Keeps what it has found: a pattern is looked for once."""

    allowed: Sequence[Path] = (Path("/"),)
    now: float | None = None
    """By the clock that stamps files; None for the host's, at each look."""
    passed_over: list[str] = field(default_factory=list)
    """What would have been newer and does not count, each with why."""
    _newest: dict[tuple[str, By], DataSet] = field(default_factory=dict)

    def newest(self, pattern: str, by: By) -> DataSet:
        """Return the newest whole data set of `pattern`.

        Raises BadInputError where there is none, DoesNotAnswerError, and OSError.
        """
        if (pattern, by) not in self._newest:
            self._newest[pattern, by] = self._look_for(pattern, by)
        return self._newest[pattern, by]

    def every(self, pattern: str) -> tuple[DataSet, ...]:
        """Return all data sets of `pattern`, by name. Raises as `newest` does, also where one of them is not whole."""
        found = tuple(sorted(self._matches(pattern), key=lambda data_set: _by_name(data_set.path)))
        for data_set in found:
            if why := self._why_not(data_set):
                raise BadInputError(f"{pattern}: {printable(str(data_set.path))} is not whole: {why}", Code.NIGHT_INPUT)
        if not found:
            raise _nothing(pattern)
        return found

    def _look_for(self, pattern: str, by: By) -> DataSet:
        passed_over: list[str] = []
        for data_set in self._newest_first(pattern, by):
            if not (why := self._why_not(data_set)):
                self.passed_over += _some(passed_over)
                return data_set
            passed_over.append(printable(f"{data_set.path} is skipped: {why}"))
        raise _nothing(pattern, passed_over)

    def _newest_first(self, pattern: str, by: By) -> list[DataSet]:
        found = list(self._matches(pattern))
        if by is By.NAME:
            return sorted(found, key=lambda data_set: _by_name(data_set.path), reverse=True)
        return sorted(found, key=lambda data_set: (_modified(data_set), _by_name(data_set.path)), reverse=True)

    def _matches(self, pattern: str) -> Iterator[DataSet]:
        """Yield the data sets that `pattern` matches a file of."""
        reach(_fixed(pattern))
        paths = [Path(path) for path in islice(glob.iglob(pattern, recursive=True), _MOST_MATCHES + 1)]  # noqa: PTH207 - of absolute patterns
        if len(paths) > _MOST_MATCHES:
            raise BadInputError(f"{pattern}: matches more than {_MOST_MATCHES} files; name fewer", Code.NIGHT_INPUT)
        for path in paths:
            if path.is_symlink():
                reach(path)
        yield from data_sets(path for path in paths if not path.is_dir())

    def _why_not(self, data_set: DataSet) -> str:
        if Path("/") not in self.allowed:
            inside = resolved(self.allowed)
            if any(not is_inside(str(file), inside) for file in data_set.files):
                return "it lies where no job may read (allowed_paths)"
        return why_not_whole(data_set, self.now)


def _nothing(pattern: str, passed_over: Sequence[str] = ()) -> BadInputError:
    why = f"no whole file: {'; '.join(_some(passed_over))}" if passed_over else "matches no file"
    return BadInputError(f"{pattern}: {why}", Code.NIGHT_INPUT)


def _some(reasons: Sequence[str]) -> list[str]:
    """Return the first few, and how many more there are."""
    more = [f"{len(reasons) - _SHOWN} more are skipped"] if len(reasons) > _SHOWN else []
    return [*reasons[:_SHOWN], *more]


def _fixed(pattern: str) -> Path:
    """Return the directory that `pattern` begins with, up to where it may stand for several."""
    parts = Path(pattern).parts
    fixed = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[: max(1, fixed)])


def _modified(data_set: DataSet) -> int:
    """Return when the last part was modified, in nanoseconds; long ago where that cannot be told."""
    times = []
    for part in data_set.parts:
        try:
            times.append(os.stat(part).st_mtime_ns)  # noqa: PTH116 - of a link, what it leads to
        except OSError:
            return 0
    return max(times)


def _by_name(path: Path) -> list[tuple[int, str]]:
    """Return what sorts paths by name with their numbers as numbers; of equal ones the longer text is behind."""
    return [
        (int(piece), piece) if piece.isdecimal() else (0, piece) for piece in re.split(r"([0-9]+)", str(path))
    ]  # fmt: skip
