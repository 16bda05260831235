"""Paths that a configuration names: whether they are there, and of the right kind, before anything starts."""

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from handlers.codes import Code
from handlers.host.reach import reach
from handlers.records.checked import PathLook, Spot, Wanted
from handlers.validate.document import Place
from handlers.validate.problem import Findings, Problem, quoted
from handlers.validate.spots import at, spot

_SHOWN = 300
"""So much of a path is shown: its end is what tells."""


def check_readable(
    place: Place, findings: Findings, *, file_only: bool = False, directory_only: bool = False
) -> Path | None:
    """Return the path at `place` when it is an absolute one of a readable file or directory; else add the problem."""
    path = place.data
    if not isinstance(path, str) or not path:
        findings.problems.append(place.problem(Code.CONFIG_PATH, f"{quoted(path)} is no path"))
    elif not path.startswith("/"):
        hint = "write it from the root (/…): every rank runs in a directory of its own"
        findings.problems.append(place.problem(Code.CONFIG_PATH, f"{quoted(path)} is a relative path", hint))
    else:
        wanted = Wanted.FILE if file_only else Wanted.DIRECTORY if directory_only else Wanted.READABLE
        return Path(path) if look_for(path, wanted, place, findings) else None
    return None


def look_for(path: str, wanted: Wanted, place: Place, findings: Findings) -> bool:
    """Say whether `path`, to which `place` leads, is what is wanted, and note it for later; else add the problem."""
    there = spot(place)
    if problem := _problem(path, wanted, there):
        findings.problems.append(problem)
    else:
        findings.looks.append(PathLook(path=path, wanted=wanted, at=there))
    return problem is None


def problem_with(look: PathLook) -> Problem | None:
    """Return what is wrong with a path that the file names, now; raises DoesNotAnswerError."""
    return _problem(look.path, look.wanted, look.at)


def _problem(path: str, wanted: Wanted, there: Spot) -> Problem | None:
    reason = _unreadable(path, wanted)
    if reason is None:
        return None
    return at(there, Code.CONFIG_PATH_UNREADABLE, f"{quoted(path, _SHOWN)} {reason[0]}", reason[1])


def _unreadable(path: str, wanted: Wanted) -> tuple[str, str] | None:
    """Return what is wrong with `path` and what to do, or None; raises DoesNotAnswerError."""
    reach(path)
    try:
        status = os.stat(path)  # noqa: PTH116 (a Path would do the same; os.access below takes the text too)
        directory = stat.S_ISDIR(status.st_mode)
        allowed = os.access(path, os.R_OK | os.X_OK if directory else os.R_OK, effective_ids=True)
    except (OSError, ValueError) as error:
        return _unreachable(path, error)
    if not directory and not stat.S_ISREG(status.st_mode):
        return "is neither a file nor a directory", ""
    if directory and wanted is Wanted.FILE:
        return "is a directory", "name the file"
    if not allowed:
        return "cannot be read by this user", "the training runs as the same user"
    if not directory and not status.st_size:
        return "is an empty file", ""
    return ("is a file", "name its directory") if not directory and wanted is Wanted.DIRECTORY else None


def _unreachable(path: str, error: OSError | ValueError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "is not there", "write the real path" if path.startswith("/path/to/") else ""
    if isinstance(error, PermissionError):
        return "cannot be reached by this user", "allow it to enter every directory on the way"
    reason = error.strerror if isinstance(error, OSError) else error
    return f"cannot be looked at: {reason}", ""


def check_prefix(place: Place, suffixes: Sequence[str], findings: Findings) -> None:
    """Add a problem where what `place` names is no absolute path that with each suffix is a readable file's."""
    prefix = place.data
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        check_readable(place, findings)
        return
    for suffix in suffixes:
        quiet = Findings()
        is_there = look_for(f"{prefix.strip()}{suffix}", Wanted.FILE, place, quiet)
        findings.looks.extend(quiet.looks)
        if not is_there:
            (problem,) = quiet.problems
            hint = f"leave {prefix[-4:]} out" if prefix.endswith(tuple(suffixes)) else problem.hint
            findings.problems.append(replace(problem, hint=hint))
            return
