"""Reading on in a record that grows."""

import os
from pathlib import Path

from handlers.ckpt.files.bounded import without_waiting
from handlers.training_record.rows import Header, Row, header_in, is_header, rows_in

MOST_BYTES = 4 << 20
"""That one look reads."""


class Follower:
    """Gives each row of a record once, also when that is thinned or made again meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._offset = 0
        self._header: Header | None = None
        self._at = -1
        """Where the log went on behind the last row that was given."""

    @property
    def offset(self) -> int:
        """How far the record was read, in bytes."""
        return self._offset

    def read(self, most: int = MOST_BYTES) -> list[Row]:
        """Return the rows that are new since the last call, of at most `most` bytes; none where there is no record yet.

        Raises OSError.
        """
        try:
            descriptor = without_waiting(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != self._identity or status.st_size < self._offset:
                self._identity, self._offset, self._header = (status.st_dev, status.st_ino), 0, None
            content = os.pread(descriptor, most, self._offset)
        finally:
            os.close(descriptor)
        end = content.rfind(b"\n") + 1
        self._offset += end
        return self._new(content[:end].splitlines(keepends=True))

    def _new(self, lines: list[bytes]) -> list[Row]:
        found = []
        first = [] if self._header is None else [self._header.line()]
        for row in rows_in([*first, *lines]):
            if row.at > self._at:
                self._at = row.at
                found.append(row)
        headers = [line for line in lines if is_header(line)]
        if headers:
            self._header = _known(headers[-1])
        return found


def _known(line: bytes) -> Header | None:
    try:
        return header_in(line)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
