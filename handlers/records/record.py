"""Records: what is kept as JSON beside a job. One way to write them, one to read them, and what their numbers may be.

Anyone who reads a record hands its numbers to the kernel and to SQLite, and does so again after every restart. So a
number that neither takes makes a record as unreadable as bad JSON does.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import publish_bytes
from handlers.units.devices import LIMIT
from handlers.units.durations import LONGEST

Pid = Annotated[int, Strict(), Field(gt=0, lt=1 << 31)]
"""As C has it."""
StartTime = Annotated[int, Strict(), Field(ge=0, lt=1 << 63)]
"""Clock ticks since boot."""
ExitCode = Annotated[int, Strict(), Field(ge=-(1 << 31), lt=1 << 31)]
Rank = Annotated[int, Strict(), Field(ge=0, lt=1 << 16)]
Device = Annotated[int, Strict(), Field(ge=0, lt=LIMIT)]
Count = Annotated[int, Strict(), Field(ge=0, lt=1 << 31)]
"""Of attempts, jobs, trainings."""
Seconds = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 2, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))]
"""With its zone, and such that every other zone has it too."""


class Record(BaseModel):
    """Base of all records: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    MOST_BYTES: ClassVar[int] = 1 << 20
    """A thousand times what most records have."""

    def publish(self, path: Path) -> None:
        """Write this record to `path` durably."""
        publish_bytes(path, (self.model_dump_json(indent=2) + "\n").encode())

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a record; raises OSError, and pydantic.ValidationError for what is too large or says nothing."""
        try:
            content = read_bounded(path, cls.MOST_BYTES)
        except DamagedFileError as error:
            what = PydanticCustomError("unreadable_record", "{why}", {"why": str(error)})
            raise ValidationError.from_exception_data(cls.__name__, [InitErrorDetails(type=what, input=None)]) from None
        return cls.model_validate_json(cls.of_this_version(content))

    @classmethod
    def of_this_version(cls, content: bytes) -> bytes:
        """Return what an older glmd wrote as this one writes it."""
        return content


def no_record(path: Path | str, error: ValidationError) -> OSError:
    """Return the error that says why a file is no record: what is wrong first, and nothing of what stands there."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return OSError(f"{path}: not a record of glmd: {place}{': ' if place else ''}{first['msg']}")
