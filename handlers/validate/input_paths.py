"""Paths that a configuration names: whether they are there, and of the right kind, before anything starts."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from handlers.codes import Code
from handlers.host.reach import reach
from handlers.validate.document import Place
from handlers.validate.problem import Findings, quoted

_SHOWN = 300
"""So much of a path is shown: its end is what tells."""


def check_readable(place: Place, findings: Findings, *, file_only: bool = False) -> Path | None:
    """Return the path at `place` when it is an absolute one of a readable file or directory; else add the problem."""
    path = place.data
    if not isinstance(path, str) or not path:
        problem = place.problem(Code.CONFIG_PATH, f"{quoted(path)} is no path")
    elif not path.startswith("/"):
        hint = "write it from the root (/…): every rank runs in a directory of its own"
        problem = place.problem(Code.CONFIG_PATH, f"{quoted(path)} is a relative path", hint)
    elif reason := _unreadable(path, file_only=file_only):
        problem = place.problem(Code.CONFIG_PATH_UNREADABLE, f"{quoted(path, _SHOWN)} {reason[0]}", reason[1])
    else:
        return Path(path)
    findings.problems.append(problem)
    return None


def _unreadable(path: str, *, file_only: bool) -> tuple[str, str] | None:
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
    if directory and file_only:
        return "is a directory", "name the file"
    if not allowed:
        return "cannot be read by this user", "the training runs as the same user"
    return ("is an empty file", "") if not directory and not status.st_size else None


def _unreachable(path: str, error: OSError | ValueError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "is not there", "put in the real path" if path.startswith("/path/to/") else ""
    if isinstance(error, PermissionError):
        return "cannot be reached by this user", "let it enter every directory on the way"
    reason = error.strerror if isinstance(error, OSError) else error
    return f"cannot be looked at: {reason}", ""


def check_prefix(place: Place, suffixes: Sequence[str], findings: Findings) -> None:
    """Add a problem where what `place` names is no absolute path that with each suffix is a readable file's."""
    prefix = place.data
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        check_readable(place, findings)
        return
    for suffix in suffixes:
        if reason := _unreadable(f"{prefix.strip()}{suffix}", file_only=True):
            hint = f"leave {prefix[-4:]} out" if prefix.endswith(tuple(suffixes)) else reason[1]
            findings.problems.append(
                place.problem(Code.CONFIG_PATH_UNREADABLE, f"{quoted(prefix + suffix, _SHOWN)} {reason[0]}", hint)
            )
            return
