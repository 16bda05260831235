"""What an error means to the shell: the one place that says so."""

from daemon.commands.table import printable
from daemon.control import NotRunningError, RequestRefusedError
from daemon.store import DamagedStoreError, StoreError
from handlers.ckpt.errors import CkptError, NoSpaceError
from handlers.errors import BadInputError, HandlerError, RefusedError
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
    (StoreError, FAILED),
    (NotRunningError, FAILED),
    (OSError, FAILED),
)
"""The first that fits counts."""


def exit_code(error: Exception) -> int | None:
    """Return the exit code for `error`; None where it is a defect of glmd's own, to be shown with its traceback."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def message(error: Exception) -> str:
    """Return what the user gets to read; names in it, which others chose, cannot drive the terminal."""
    # Its lines begin with FILE:LINE:COL, which editors and terminals jump to.
    text = str(error) if isinstance(error, ConfigError) else f"glmd: {error}"
    if isinstance(error, CkptError):
        return printable(text)  # it is a line; any further would be a name's
    return "\n".join(map(printable, text.split("\n")))
