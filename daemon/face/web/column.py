"""One kind of value of many steps, in little memory."""

import math
from array import array
from typing import overload


class Column:
    """Numbers, nan for none; as long as all are the same, as where a log never says them, they take no room."""

    def __init__(self) -> None:
        self._one = math.nan
        self._length = 0
        self._values: array[float] | None = None

    def append(self, value: float) -> None:
        """Add a number."""
        if self._values is None:
            if not self._length:
                self._one = value
            if value == self._one or (math.isnan(value) and math.isnan(self._one)):
                self._length += 1
                return
            self._values = array("d", [self._one]) * self._length
        self._values.append(value)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> "array[float]": ...
    def __getitem__(self, place: "int | slice") -> "float | array[float]":
        """Return a number, or some, of those that were added."""
        if self._values is not None:
            return self._values[place]
        if isinstance(place, slice):
            return array("d", [self._one]) * len(range(*place.indices(self._length)))
        return self._one
