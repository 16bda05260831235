"""Paths of a training on several hosts: what lies on a file system of this one alone the others may not have."""

from collections.abc import Iterable
from pathlib import Path

from handlers.codes import Code
from handlers.host.file_systems import file_system_type, network_file_system
from handlers.host.mountinfo import MOUNTINFO
from handlers.records.checked import PathLook, Spot, Wanted
from handlers.validate.problem import Problem
from handlers.validate.spots import at

_MOST = 5
"""So many are warned of one by one."""


def local_paths(looks: Iterable[object]) -> tuple[Problem, ...]:
    """Return a warning of each path that a file names and other hosts may not see."""
    named: dict[Spot, str] = {}
    for look in looks:
        if isinstance(look, PathLook) and look.wanted is not Wanted.ALLOWED:
            named.setdefault(look.at, look.path)  # of what lies below it the same is true
    local = [(place, path) for place, path in named.items() if network_file_system(Path(path)) is None]
    more = f"; so are {len(local) - _MOST} more paths" if len(local) > _MOST else ""
    return tuple(
        at(place, Code.CONFIG_LOCAL_PATH, f"is on {_kind(path)}, which other hosts do not see", _HINT + more)
        for place, path in local[:_MOST]
    )


_HINT = "put it on the file system that all nodes share, unless each has the same there"


def _kind(path: str) -> str:
    return file_system_type(Path(path).resolve(), MOUNTINFO.read_bytes()) or "a file system of this host"
