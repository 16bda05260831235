"""What was recorded of a job's training, over all its attempts."""

from collections.abc import Iterator
from pathlib import Path

from handlers.records.job_dir import JobDir, Step
from handlers.training_record.record import NAME, read, stitched
from handlers.training_record.rows import Row


def recorded_rows(directory: JobDir, at_most: int | None = None) -> list[Row]:
    """Return a row for each step that counts, in order. Raises OSError.

    With `at_most` of each attempt about so many rows, evenly, are enough.
    """
    return stitched(_rows(directory, at_most))


def record_of(directory: JobDir, attempt: int) -> Path:
    """Return where an attempt's record is."""
    return directory.step(attempt, Step.TRAIN).path / NAME


def _rows(directory: JobDir, at_most: int | None) -> Iterator[Row]:
    for attempt in directory.attempts():
        try:
            yield from read(record_of(directory, attempt), at_most)
        except FileNotFoundError:
            continue
