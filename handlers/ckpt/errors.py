"""What can be wrong with checkpoint and strategy files."""

from typing import TYPE_CHECKING

from handlers.ckpt.codes import Code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.ckpt.entry import NotFinite


class CkptError(Exception):
    """Base of all errors of this package: says which file, which parameter, why, and what to do."""

    def __init__(self, message: str, code: Code) -> None:
        super().__init__(message)
        self.code = code


class DamagedFileError(CkptError):
    """A file is not what its format says: truncated, garbage, impossible lengths."""

    def __init__(self, message: str, code: Code = Code.DAMAGED) -> None:
        super().__init__(message, code)


class InconsistentError(CkptError):
    """Files that are each whole do not fit together: ranks, tags, layouts or replicas disagree. Merging is refused."""


class UnsupportedLayoutError(CkptError):
    """A layout that this version does not merge. Refused rather than guessed."""


class NotFiniteError(CkptError):
    """What would be kept holds NaN or infinity, and the caller did not allow it. `found` says how much, by name."""

    def __init__(self, message: str, found: "Mapping[str, NotFinite]") -> None:
        super().__init__(message, Code.NOT_FINITE)
        self.found = found


class OutputExistsError(CkptError):
    """The output is already there and the caller did not ask to replace it."""

    def __init__(self, message: str, code: Code = Code.OUTPUT_EXISTS) -> None:
        super().__init__(message, code)


class NoSpaceError(CkptError):
    """The output does not fit on its file system; says how much it needs."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Code.NO_SPACE)
