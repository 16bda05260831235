"""What kind of hint was had of a file."""

from enum import StrEnum


class Kind(StrEnum):
    """How somebody came to know of a file."""

    CREATED = "created"
    """It appeared. Alone, without OPENED, that is a hard link, a symbolic link, a FIFO or a directory."""
    OPENED = "opened"
    """Somebody opened it. After CREATED, that is its writer; otherwise it may be a reader."""
    MODIFIED = "modified"
    """Somebody writes into it."""
    CLOSED = "closed"
    """A writer closed it."""
    MOVED_IN = "moved_in"
    """It was renamed to this name, as careful writers do."""
    DELETED = "deleted"
    """It was removed, or renamed away."""
    SCAN = "scan"
    """It was found by looking; nobody knows who has it open. Of a watched directory: it has to be looked at whole."""
