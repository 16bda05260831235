"""The record of a training: written while it runs, read while it grows, and made one of several attempts.

A record is derived from the ranks' logs. So it is written without fsync, and what is cut off or lost of it can be made
again: handlers.training_record.rebuilding.
"""

import errno
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from handlers.ckpt.files.bounded import without_waiting
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.training_record import tensorboard
from handlers.training_record.growing import GrowingFile
from handlers.training_record.rows import Header, Row, is_header, row_line, rows_in
from handlers.training_record.thinning import FACTOR, thin

NAME = "steps.jsonl"
EVENTS = "events.out.tfevents."
"""How the names of event files begin, by which TensorBoard finds them."""
MOST_ROWS = 200_000
MOST_BYTES = 1 << 28
"""Of a record, five times what its rows come to."""
_DENSITIES = tuple(FACTOR**times for times in range(8))
"""What is thinned, one after the other: first what has all steps, then what has one of ten, …"""
_LONGEST = 1 << 16
"""Bytes of a row: far more than one has."""


class RecordWriter:
    """Writes the record of one attempt into its directory, a piece at a time."""

    def __init__(self, directory: Path, header: Header, *, most_rows: int = MOST_ROWS) -> None:
        self._header = header
        self._most_rows = self._thin_at = most_rows
        self._rows = 0
        self._every = 1
        """Of so many steps one goes into the event file."""
        self._written: Header | None = None
        """The header that was written last; None where none is of the rows to come."""
        self._path = directory / NAME
        self._steps = GrowingFile(self._path)
        self._events = GrowingFile(directory / f"{EVENTS}{int(time.time())}.{header.host}.glmd")

    def append(self, steps: Sequence[LoggedStep], rank: int) -> None:
        """Add steps that were read in the log of `rank`: all, or where it raises OSError none."""
        if not steps:
            return
        written, lines = self._written, []
        for logged in steps:
            header = self._of(logged.step, rank, written)
            if header is not written:
                lines.append(header.line())
                written = header
            lines.append(row_line(logged))
        # Where somebody has removed the file, or an earlier writer was killed within a line.
        again = b"" if self._written is None else self._of(steps[0].step, rank, None).line()
        self._steps.write(b"".join(lines), beginning=again, joint=b"\n" + again)
        self._add_events(steps)
        self._steps.keep()
        self._written = written
        self._rows += len(steps)
        self._thin()

    def _of(self, step: StepLine, rank: int, written: Header | None) -> Header:
        """Return the header of a step: `written`, if that is of it too."""
        if written is not None and (written.rank, written.epochs, written.steps) == (rank, step.epochs, step.steps):
            return written
        return replace(self._header, rank=rank, epochs=step.epochs, steps=step.steps)

    def _add_events(self, steps: Sequence[LoggedStep]) -> None:
        chosen = [logged.step for number, logged in enumerate(steps, self._rows) if number % self._every == 0]
        if chosen:
            now = time.time()
            events = b"".join(tensorboard.scalars(step, now) for step in chosen)
            self._events.write(events, beginning=tensorboard.beginning(now))
            self._events.keep()

    def _thin(self) -> None:
        """Make a record that has become too long shorter: what is thin already stays as long as that is enough."""
        if self._rows < self._thin_at:
            return
        with suppress(OSError):  # it is tried again, and the record is whole anyway
            for finest in _DENSITIES:
                self._rows = thin(self._path, finest)
                self._written = None
                self._every = max(self._every, finest * FACTOR)
                self._steps.was_replaced()
                if self._rows <= self._most_rows * 3 // 4:
                    break
        self._thin_at = max(self._most_rows, self._rows + self._most_rows // 4)


def read(path: Path, at_most: int | None = None) -> Iterator[Row]:
    """Yield the rows of a record, also of one that grows: a last line that has no end yet is none.

    With `at_most` about so many of a longer one, evenly, with the first and the last. Raises OSError.
    """
    with open(path, "rb", opener=without_waiting) as stream:
        if os.fstat(stream.fileno()).st_size > MOST_BYTES:  # anyone who trains can write there
            raise OSError(
                errno.EFBIG, f"larger than the {MOST_BYTES} bytes that the record of a training can have", str(path)
            )
        stride = 1
        if at_most is not None:
            stride = 1 + sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b"")) // at_most
            stream.seek(0)
        yield from rows_in(_evenly(iter(lambda: stream.readline(_LONGEST), b""), stride))


def _evenly(lines: Iterable[bytes], stride: int) -> Iterator[bytes]:
    """Yield headers, and of the whole lines that are none each of `stride`, and the last."""
    waiting = b""
    for number, line in enumerate(line for line in lines if line.endswith(b"\n")):
        if is_header(line) or number % stride == 1 % stride:
            yield line
            waiting = b""
        else:
            waiting = line
    if waiting:
        yield waiting


def stitched(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of one training from those of all its attempts, in the order in which they were written.

    From the first step of a later attempt on it is that attempt's steps that count; that something began again is told
    by a number that is not higher than the one before.
    """
    kept: list[Row] = []
    for row in rows:
        while kept and kept[-1].step.number >= row.step.number:
            kept.pop()
        kept.append(row)
    return kept
