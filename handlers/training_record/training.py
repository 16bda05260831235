"""What was recorded of a training, over all its attempts, and what that comes to."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.training_record.record import NAME, read, stitched
from handlers.training_record.rows import Row

RECENT = 20
"""Steps whose median gives the speed, and whose mean the final loss: one step alone says little."""


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

    def final(self, over: int = RECENT) -> float:
        """Return the mean loss of the last `over` recorded steps; not finite where one of them is not."""
        losses = [row.step.loss for row in self.rows[-over:]]
        return sum(losses) / len(losses)

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
            "first_loss": finite(self.first),
            "last_loss": finite(self.last),
            "lowest_loss": finite(self.lowest),
            "samples_per_second": self.samples_per_second,
            "seconds": self.seconds,
            "overflows": self.overflows,
        }


def training_in(attempts: Iterable[Path], at_most: int | None = None) -> Training | None:
    """Return what is recorded in the directories of a training's attempts; None where nothing is. Raises OSError.

    With `at_most` of each attempt about so many rows, evenly, are enough.
    """
    rows = stitched(_rows(attempts, at_most))
    return Training(rows) if rows else None


def finite(number: float) -> float | None:
    """Return `number`; None where it is none: neither JSON nor a store has NaN."""
    return number if math.isfinite(number) else None


def _rows(attempts: Iterable[Path], at_most: int | None) -> Iterator[Row]:
    for attempt in attempts:
        try:
            yield from read(attempt / NAME, at_most)
        except FileNotFoundError:
            continue
