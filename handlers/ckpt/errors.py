"""What can be wrong with checkpoint and strategy files."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.ckpt.entry import NotFinite


class CkptError(Exception):
    """Base of all errors of this package: says which file, which parameter, why, and what to do."""


class DamagedFileError(CkptError):
    """A file is not what its format says: truncated, garbage, impossible lengths."""


class InconsistentError(CkptError):
    """Files that are each whole do not fit together: ranks, tags, layouts or replicas disagree. Merging is refused."""


class UnsupportedLayoutError(CkptError):
    """A layout that this version does not merge. Refused rather than guessed."""


class NotFiniteError(CkptError):
    """What would be kept holds NaN or infinity, and the caller did not allow it. `found` says how much, by name."""

    def __init__(self, message: str, found: "Mapping[str, NotFinite]") -> None:
        super().__init__(message)
        self.found = found


class OutputExistsError(CkptError):
    """The output is already there and the caller did not ask to replace it."""


class NoSpaceError(CkptError):
    """The output does not fit on its file system; says how much it needs."""
