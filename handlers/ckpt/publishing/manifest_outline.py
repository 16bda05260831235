"""What a manifest says of its files, without their parameters: enough to see whether they are still those."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.planning.trained_on import TrainedOn
from handlers.ckpt.publishing.manifest import MOST_BYTES, check_names, unreadable

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class OutlinedFile:
    """One file of the output, as it was when it was written."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class OutlinedSideFile:
    """A file of the output that holds no parameters."""

    name: str


@dataclass(frozen=True)
class Outline:
    """manifest.json, as far as it is read here."""

    format: Literal[2]
    prefix: str
    files: tuple[OutlinedFile, ...]
    index: str | None
    inputs: tuple[TrainedOn, ...] = ()
    side_files: tuple[OutlinedSideFile, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What all files but the manifest are called."""
        index = (self.index,) if self.index is not None else ()
        return (*(file.name for file in self.files), *index, *(side_file.name for side_file in self.side_files))


@cache
def _adapter() -> "TypeAdapter[Outline]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - as in handlers.ckpt.publishing.manifest

    return TypeAdapter(Outline)


def read_outline(path: Path | str) -> Outline:
    """Read manifest.json; raises DamagedFileError where it is not one, and OSError."""
    content = read_bounded(path, MOST_BYTES)
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    try:
        outline = _adapter().validate_json(content)
    except ValidationError as error:
        raise unreadable(path, error) from error
    check_names(path, outline.names)
    return outline
