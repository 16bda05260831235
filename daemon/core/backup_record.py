"""backup.json, in a backup and in a root that was made of one: what was backed up, and what was left out."""

from pathlib import Path
from typing import ClassVar, Literal

from handlers.records.record import Count, Moment, Record

NAME = "backup.json"
FORMAT: Literal[1] = 1


class BackedUpOutput(Record):
    """A merged output with its files."""

    target: str
    """Where it lies, from the root."""
    prefix: str
    bytes: Count
    linked: bool
    """Whether its files are hard links: they share their bytes with those of the root."""


class LeftOut(Record):
    """Something that is not in the backup, or not whole."""

    place: str
    """From the root."""
    why: str
    is_lack: bool
    """Whether a whole backup would have it: it could not be read, or is not what it should be."""


class BackupRecord(Record):
    """backup.json."""

    MOST_BYTES: ClassVar[int] = 256 << 20

    format: Literal[1] = FORMAT
    glmd: str
    """The version that made the backup."""
    store_version: Count
    host: str
    root: str
    store: str | None = None
    """The directory that the store lay in, where that was not the root; here it is in the backup itself."""
    began: Moment
    ended: Moment
    settings: str | None
    """Where the settings file lay; here it is `settings.yaml`, unless it lay in the root. None where there was none."""
    jobs: Count
    """Directories of jobs."""
    files: Count
    bytes: Count
    """Of all files, also those that are hard links."""
    outputs: tuple[BackedUpOutput, ...]
    without_files: frozenset[str]
    """The directories of jobs whose merged output was left out but for its manifest: nothing starts from it."""
    left_out: tuple[LeftOut, ...]

    @property
    def lacks(self) -> tuple[LeftOut, ...]:
        """What a whole backup would have."""
        return tuple(one for one in self.left_out if one.is_lack)


def without_files(root: Path) -> frozenset[str]:
    """Return of which jobs a root that was made of a backup has no output but the manifest; none where it was not."""
    from pydantic import ValidationError  # noqa: PLC0415 - few roots were made of one

    try:
        return BackupRecord.read(root / NAME).without_files
    except (OSError, ValidationError):
        return frozenset()
