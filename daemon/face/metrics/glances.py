"""The end of a training's record, and how many of its steps overflowed; what was read once is not read again."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from daemon.face.below import opened_below, piece
from handlers.training_record.rows import HEADER, OVERFLOWED, Row, rows_in
from handlers.training_record.training import RECENT

_PIECE = 1 << 20
_TAIL = 1 << 14
"""Bytes at the end, which have RECENT rows."""


@dataclass
class Glance:
    """One record, as far as it was read."""

    identity: tuple[int, int]
    offset: int = 0
    overflows: int = 0
    """How many rows tell of one."""
    header: bytes = b""
    """The last one."""
    tail: bytes = b""
    """Of what stands behind it."""

    @property
    def rows(self) -> Sequence[Row]:
        """The last rows; none before the first step."""
        return list(rows_in([self.header, *self.tail.splitlines(keepends=True)]))[-RECENT:]

    def read_on(self, stream: FileIO) -> None:
        """Read what has come since. Raises OSError."""
        while content := piece(stream, self.offset, _PIECE):
            whole = content[: content.rfind(b"\n") + 1]
            if not whole:  # a line that has no end yet
                break
            self.offset += len(whole)
            self.overflows += whole.count(OVERFLOWED)
            if (at := whole.rfind(HEADER)) >= 0:
                end = whole.index(b"\n", at) + 1
                self.header, self.tail = whole[at:end], b""
                whole = whole[end:]
            self.tail = (self.tail + whole)[-_TAIL:]


class Glances:
    """The records that were looked at last time. For one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[Path, Glance] = {}

    def at(self, job: Path, record: Path) -> Glance | None:
        """Return what the record in the directory `job` says; None where there is none. Raises OSError."""
        try:
            stream = opened_below(job, record)
        except FileNotFoundError:
            return None
        with stream:
            status = os.fstat(stream.fileno())
            known = self._known.get(record)
            if known is None or known.identity != (status.st_dev, status.st_ino) or known.offset > status.st_size:
                known = self._known[record] = Glance((status.st_dev, status.st_ino))  # another one: it was thinned
            known.read_on(stream)
        return known

    def forget_all_but(self, jobs: Collection[Path]) -> None:
        """Forget the records of all other jobs."""
        self._known = {path: one for path, one in self._known.items() if any(job in path.parents for job in jobs)}
