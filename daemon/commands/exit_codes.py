"""What an error means to the shell: the one place that says so."""

import errno
from dataclasses import asdict

from daemon.core.control import NotRunningError, RequestRefusedError
from daemon.core.database import DamagedStoreError, NewerStoreError, StoreError
from daemon.core.error_codes import code_of
from handlers.ckpt.errors import CkptError, NoSpaceError
from handlers.errors import BadInputError, HandlerError, RefusedError
from handlers.printable import printable, to_json
from handlers.validate.problem import ConfigError

FAILED = 1
BAD_INPUT = 2
REFUSED = 3

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (BadInputError, BAD_INPUT),
    (RefusedError, REFUSED),
    (RequestRefusedError, REFUSED),
    (NoSpaceError, FAILED),
    (CkptError, REFUSED),
    (HandlerError, FAILED),
    (DamagedStoreError, REFUSED),
    (NewerStoreError, REFUSED),
    (StoreError, FAILED),
    (NotRunningError, FAILED),
    (OSError, FAILED),
)
"""The first that fits counts."""


_REMEDIES = {
    errno.ENOSPC: "free space there, and try again",
    errno.EDQUOT: "free space there, or have the quota raised, and try again",
    errno.EROFS: "mount it for writing, or name another place",
    errno.EACCES: "check its owner (ls -ld), and whether you are in the group glm",
    errno.EPERM: "check its owner (ls -ld), and whether you are in the group glm",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.ELOOP: "see where its symbolic links lead (ls -l)",
    errno.EISDIR: "name a file",
    errno.EMFILE: "allow more open files: ulimit -n",
    errno.ENFILE: "the host has too many open files: end some processes, and try again",
    errno.EFBIG: "allow larger files: ulimit -f unlimited",
    errno.EIO: "check the disk: dmesg says more",
    errno.ESTALE: "check the mount: its server has lost it",
}
"""What to do about an OSError, by its number."""


def exit_code(error: Exception) -> int | None:
    """Return the exit code for `error`; None where it is a defect of glmd's own, to be shown with its traceback."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def message(error: Exception) -> str:
    """Return what the user gets to read; names in it, which others chose, cannot drive the terminal."""
    # Its lines begin with FILE:LINE:COL, which editors and terminals jump to.
    text = _words(error) if isinstance(error, ConfigError) else f"glmd: {_words(error)}"
    if isinstance(error, CkptError):
        return printable(text)  # it is a line; any further would be a name's
    return "\n".join(map(printable, text.split("\n")))


def text_with_code(error: Exception) -> str:
    """Return `message` with the code that `glmd explain` takes. Bad usage explains itself."""
    text, code = message(error), code_of(error)
    if isinstance(error, ConfigError):
        codes = dict.fromkeys(str(problem.code) for problem in error.problems if problem.code)
        return f"{text}\n[{', '.join(codes)}]" if codes else text
    if not code or code.startswith("usage."):
        return text
    first, *others = text.split("\n")
    return "\n".join([f"{first} [{code}]", *others])


def as_json(error: Exception) -> str:
    """Return the same for programs, in one line; docs/cli.md names the keys."""
    problems = [asdict(problem) for problem in error.problems] if isinstance(error, ConfigError) else []
    fields = {"ok": False, "code": code_of(error), "message": _words(error), "exit_code": exit_code(error)}
    return to_json({**fields, "problems": problems}, indent=None)


def _words(error: Exception) -> str:
    """Return what `error` says; of an OSError where, what and what to do instead of a number."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    places = [str(place) for place in (error.filename, error.filename2) if place is not None]
    parts = [" -> ".join(places), error.strerror, _REMEDIES.get(error.errno or 0, "")]
    return ": ".join(part for part in parts if part)
