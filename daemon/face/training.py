"""What is there of a job's training: its record, for curves, tables and comparisons, and what it takes on the disk."""

import os
from contextlib import suppress
from pathlib import Path

from handlers.records.job_dir import JobDir, Step
from handlers.training_record.record import NAME
from handlers.training_record.training import Training, training_in

GLANCE = 10_000
"""Rows that are enough for a curve."""


def training_of(directory: JobDir, at_most: int | None = None) -> Training | None:
    """Return what is recorded of a job's training; None where nothing is. Raises OSError.

    With `at_most` of each attempt about so many rows, evenly, are enough.
    """
    return training_in(directory.trainings(), at_most)


def disk_of(directory: JobDir) -> dict[str, int]:
    """Return how many bytes of disk the parts of a job's directory take; those that are there."""
    outputs = [directory.earlier_output(attempt) for attempt in directory.attempts()]
    copies = [directory.resume_from(attempt) for attempt in directory.attempts()]
    places = {"output": [directory.output], "earlier_outputs": [*outputs, *copies], "merged": [directory.merged]}
    seen = set[int]()
    sizes = {name: sum(_size(path, seen) for path in paths) for name, paths in places.items()}
    return {name: size for name, size in sizes.items() if size}


def _size(directory: Path, seen: set[int]) -> int:
    """Return the bytes of the files below `directory`, but for those `seen` before: they have several names."""
    found = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):  # deleted meanwhile for a newer save
                status = os.lstat(f"{parent}/{name}")
                found += status.st_blocks * 512 * (status.st_ino not in seen)
                seen.add(status.st_ino)
    return found


def record_of(directory: JobDir, attempt: int) -> Path:
    """Return where an attempt's record is."""
    return directory.step(attempt, Step.TRAIN).path / NAME
