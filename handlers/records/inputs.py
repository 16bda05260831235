"""inputs.json: the files that a training is made from, as they were before it began."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, Strict

from handlers.ckpt.planning.trained_on import TrainedOn
from handlers.records.record import Record

__all__ = ["Input", "Inputs", "TrainedOn"]

_Size = Annotated[int, Strict(), Field(ge=0, lt=1 << 63)]
_Signed = Annotated[int, Strict(), Field(ge=-(1 << 63), lt=1 << 63)]
"""A time may be before 1970."""


class Input(Record):
    """One file, and how to tell that it is the same still."""

    path: str
    bytes: _Size
    mtime_ns: _Signed
    inode: Annotated[int, Strict(), Field(ge=0, lt=1 << 64)]


class Inputs(Record):
    """All that the file's `glmd: inputs:` names, in its order."""

    MOST_BYTES: ClassVar[int] = 16 << 20

    format: Literal[1] = 1
    files: tuple[Input, ...]
