"""The parts of a job of which each can be removed by itself."""

from enum import StrEnum


class Part(StrEnum):
    """A part of a job that can be removed by itself."""

    SHARDS = "shards"
    """All saves that its ranks made."""
    OLDER_SHARDS = "older shards"
    """Those but the newest save."""
    MERGED = "merged"
    """The merged output; its manifest stays with the records."""
    RECORDS = "records"
    """Its directory."""
