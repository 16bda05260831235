"""Paths that a configuration names must lie where the settings allow jobs to read."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from handlers.validate.document import Place
from handlers.validate.problem import Findings, quoted

_SHOWN = 300


def check_allowed(root: Place, allowed: Sequence[Path], findings: Findings) -> None:
    """Add a problem for every absolute path in the document, under whatever key, that leads outside of `allowed`.

    Symbolic links count as what they lead to at this moment. What a training opens that its file does not name is for
    the rights of the user glm and the sandbox of its unit.
    """
    if Path("/") in allowed:
        return
    inside = [Path(os.path.realpath(one)) for one in allowed]
    hint = f"settings allow {', '.join(map(str, allowed)) or 'none'} (allowed_paths)"
    for place in _paths(root):
        if not any(Path(os.path.realpath(str(place.data))).is_relative_to(one) for one in inside):
            problem = place.problem(f"{quoted(place.data, _SHOWN)} lies where no job may read", hint)
            findings.problems.append(problem)


def _paths(root: Place) -> Iterator[Place]:
    """Yield every text that is an absolute path; what an alias names, once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        place = waiting.pop()
        if id(place.entry.node) in seen:
            continue
        seen.add(id(place.entry.node))
        if isinstance(place.data, str) and place.data.startswith("/"):
            yield place
        waiting.extend(place)
