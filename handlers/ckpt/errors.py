"""What can be wrong with checkpoint and strategy files."""


class CkptError(Exception):
    """Base of all errors of this package: says which file, which parameter, why, and what to do."""


class DamagedFileError(CkptError):
    """A file is not what its format says: truncated, garbage, impossible lengths."""


class InconsistentError(CkptError):
    """Files that are each whole do not fit together: ranks, tags, layouts or replicas disagree. Merging is refused."""


class UnsupportedLayoutError(CkptError):
    """A layout that this version does not merge. Refused rather than guessed."""


class OutputExistsError(CkptError):
    """The output is already there and the caller did not ask to replace it."""


class NoSpaceError(CkptError):
    """The output does not fit on its file system; says how much it needs."""
