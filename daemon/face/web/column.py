"""One kind of value of many steps, in little memory."""

import math
from array import array
from struct import Struct
from typing import overload

_SINGLE = Struct("f")
_MOST = float.fromhex("0x1.fffffep127")
"""The largest in single precision."""


class Column:
    """Numbers, nan for none: none is changed by it.

    As long as all are the same, as where a log never says them, they take no room; as long as single precision holds
    them, as milliseconds and scales, half of it.
    """

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
            self._values = array("f" if _is_single(self._one) else "d", [self._one]) * self._length
        if self._values.typecode == "f" and not _is_single(value):
            self._values = array("d", self._values)
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


def _is_single(value: float) -> bool:
    """Say whether a number is the same in single precision."""
    return math.isnan(value) or (abs(value) <= _MOST and _SINGLE.unpack(_SINGLE.pack(value))[0] == value)
