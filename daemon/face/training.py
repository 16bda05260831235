"""What was recorded of a job's training, over all its attempts: for curves, tables and comparisons."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from handlers.records.job_dir import JobDir
from handlers.training.recorded import recorded_rows
from handlers.training_record.rows import Row

RECENT = 20
"""Steps whose median gives the speed: one step may have compiled or saved."""
GLANCE = 10_000
"""Rows that are enough for a curve."""


@dataclass(frozen=True)
class Training:
    """A training as far as it is recorded: at least one step."""

    rows: Sequence[Row]
    """One for each step that counts, in order."""

    @property
    def first(self) -> float:
        """The first loss."""
        return self.rows[0].step.loss

    @property
    def last(self) -> float:
        """The last loss."""
        return self.rows[-1].step.loss

    @property
    def lowest(self) -> float:
        """The lowest loss that is a number; nan where none is."""
        return min((row.step.loss for row in self.rows if math.isfinite(row.step.loss)), default=math.nan)

    @property
    def number(self) -> int:
        """How many steps were done."""
        return self.rows[-1].step.number

    @property
    def planned(self) -> int:
        """How many steps there are in all."""
        step = self.rows[-1].step
        return step.epochs * step.steps

    @property
    def samples_per_second(self) -> float | None:
        """Of all devices, the median of the last steps; None where the log does not tell."""
        last = self.rows[-1].header
        speeds = [row.step.samples for row in self.rows[-RECENT:] if row.step.samples is not None]
        return sorted(speeds)[len(speeds) // 2] * last.devices if speeds else None

    @property
    def seconds(self) -> float | None:
        """From the first to the last step of each attempt, together; None where the log has no times."""
        spans: dict[int, tuple[float, float]] = {}
        for row in self.rows:
            if (at := row.step.time) is not None:
                began, ended = spans.get(row.header.attempt, (at, at))
                spans[row.header.attempt] = min(began, at), max(ended, at)
        return sum(ended - began for began, ended in spans.values()) if spans else None

    @property
    def overflows(self) -> int:
        """How many of the rows tell of an overflow."""
        return sum(1 for row in self.rows if row.step.overflow)

    def points(self) -> list[tuple[int, float]]:
        """Return number and loss of each step."""
        return [(row.step.number, row.step.loss) for row in self.rows]

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "steps": self.number,
            "planned": self.planned,
            "rows": len(self.rows),
            "first_loss": _finite(self.first),
            "last_loss": _finite(self.last),
            "lowest_loss": _finite(self.lowest),
            "samples_per_second": self.samples_per_second,
            "seconds": self.seconds,
            "overflows": self.overflows,
        }


def training_of(directory: JobDir, at_most: int | None = None) -> Training | None:
    """Return what is recorded of a job's training; None where nothing is. Raises OSError.

    With `at_most` of each attempt about so many rows, evenly, are enough.
    """
    rows = recorded_rows(directory, at_most)
    return Training(rows) if rows else None


def disk_of(directory: JobDir) -> dict[str, int]:
    """Return how many bytes of disk the parts of a job's directory take; those that are there."""
    attempts = [directory.earlier_output(attempt) for attempt in directory.attempts()]
    places = {"output": [directory.output], "earlier_outputs": attempts, "merged": [directory.merged]}
    sizes = {name: sum(map(_size, paths)) for name, paths in places.items()}
    return {name: size for name, size in sizes.items() if size}


def _size(directory: Path) -> int:
    found = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):  # deleted meanwhile for a newer save
                found += os.lstat(f"{parent}/{name}").st_blocks * 512
    return found


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None  # JSON has no NaN
