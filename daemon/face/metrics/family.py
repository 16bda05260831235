"""Families of samples: what a name means, and which labels its samples have."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """What Prometheus does with a family."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Sample:
    """One line of what is exposed."""

    family: "Family"
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    """Behind the family's name: of a histogram `_bucket`, `_sum` or `_count`."""


@dataclass(frozen=True)
class Family:
    """A name, with what it means. How to name: https://prometheus.io/docs/practices/naming/ says."""

    name: str
    type: Type
    help: str
    """One line."""
    labels: tuple[str, ...] = ()

    def __call__(self, value: float, *labels: object) -> Sample:
        """Return a sample, with the values of its labels in their order."""
        return Sample(self, value, self._labelled(labels))

    def distribution(self, buckets: Iterable[tuple[float, int]], total: float, *labels: object) -> Iterator[Sample]:
        """Yield a histogram: how many values are at most each bound, the last of which is infinite; and their sum."""
        named, count = self._labelled(labels), 0
        for bound, count in buckets:
            yield Sample(self, count, (*named, ("le", number_text(bound))), "_bucket")
        yield Sample(self, total, named, "_sum")
        yield Sample(self, count, named, "_count")

    def _labelled(self, values: Iterable[object]) -> tuple[tuple[str, str], ...]:
        return tuple((name, str(value)) for name, value in zip(self.labels, values, strict=True))


def number_text(value: float) -> str:
    """Return a number as the text format has it."""
    if value != value:  # noqa: PLR0124 - NaN alone is not itself
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1 << 53 else repr(float(value))
