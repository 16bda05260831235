"""Paths that a configuration names must lie where the settings allow jobs to read."""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from handlers.codes import Code
from handlers.host.reach import DoesNotAnswerError, reach
from handlers.records.checked import MOST_LOOKS, PathLook, Wanted
from handlers.validate.document import Place
from handlers.validate.problem import Findings, Problem, quoted
from handlers.validate.spots import at, encodable, spot

_OUT = re.compile(r"/|\.\.(/|$)|~[\w.-]*(/|$)")
"""How a path begins that is absolute, leads upwards, or to somebody's home."""
_SHOWN = 300
_PATH_MAX = 4096
"""Bytes of the longest path that Linux takes."""


def check_allowed(root: Place, allowed: Sequence[Path], findings: Findings) -> None:
    """Add a problem for every path in the document, under whatever key, that leads outside of `allowed`.

    So does a relative one that leads out of the directory in which it is looked for. Symbolic links count as what they
    lead to at this moment. What a training opens that its file does not name is for the rights of the user glm and the
    sandbox of its unit.
    """
    paths = _paths(root)
    if Path("/") in allowed:
        paths = islice(paths, MOST_LOOKS + 1)
    looks = [PathLook(path=encodable(str(place.data)), wanted=Wanted.ALLOWED, at=spot(place)) for place in paths]
    findings.looks.extend(looks)
    findings.problems.extend(not_allowed(looks, allowed))


def not_allowed(looks: Iterable[PathLook], allowed: Sequence[Path]) -> Iterator[Problem]:
    """Yield what is wrong with where paths that the file names lead now; raises DoesNotAnswerError."""
    if Path("/") in allowed:
        return
    inside = resolved(allowed)
    hint = f"settings allow {', '.join(map(str, allowed)) or 'none'} (allowed_paths)"
    for look in looks:
        if not is_inside(look.path, inside):
            message = f"{quoted(look.path, _SHOWN)} lies where no job may read"
            yield at(look.at, Code.CONFIG_PATH_NOT_ALLOWED, message, hint)


def resolved(allowed: Iterable[Path]) -> tuple[Path, ...]:
    """Return where the allowed paths lead now."""
    return tuple(one for path in allowed if (one := _allowed(path)) is not None)


def is_inside(path: str, inside: Sequence[Path]) -> bool:
    """Say whether an absolute path leads into one of those that are allowed; raises DoesNotAnswerError."""
    to = _resolved(path) if path.startswith("/") else None
    return to is not None and any(to.is_relative_to(one) for one in inside)


def _allowed(path: Path) -> Path | None:
    """Return where an allowed path leads; one that does not answer keeps nobody from the others."""
    try:
        return _resolved(str(path))
    except DoesNotAnswerError:
        return path


def _resolved(path: str) -> Path | None:
    """Return where `path` leads; None when that cannot be told, or it is no path at all.

    Raises DoesNotAnswerError.
    """
    if len(path) >= _PATH_MAX:
        return None
    reach(path)
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return None


def _paths(root: Place) -> Iterator[Place]:
    """Yield every text that is an absolute path, or one out of wherever it starts; what an alias names, once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        place = waiting.pop()
        if id(place.entry.node) in seen:
            continue
        seen.add(id(place.entry.node))
        if isinstance(place.data, str) and _OUT.match(posixpath.normpath(place.data)):
            yield place
        waiting.extend(reversed(tuple(place)))  # in the order of the file: an anchor comes before its aliases
