"""NaN and infinity in a parameter's bytes, counted by their bit patterns.

A training that diverged leaves them, and what starts from its weights gets them too. MindFormers saves none on purpose
(0.8, 1.3, 1.5, 1.7 and 1.8 were read): attention masks with -inf are tensors, not parameters; Swin's mask, which is
one, has -100.

Nearly every block has none, and to see that must cost next to nothing beside the copy. A vector of numbers times one of
zeros is zero, unless a number is NaN or infinite: then it is NaN. SimSIMD's dot products see so at the speed of memory,
and load in a millisecond; numpy, which takes 0.2 s, is there only to count in the blocks that have some.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from simsimd import inner

from handlers.ckpt.entry import NotFinite

PORTION = 1 << 16
"""Bytes that are looked at at once, so that they and the zeros stay in the processor's cache."""
NAMED = 3
"""Parameters that a message names."""


def named(found: Mapping[str, NotFinite], where: Mapping[str, str] | None = None) -> str:
    """Say which parameters hold NaN or infinity: the first ones, perhaps with `where` from, and how many more."""
    origin = {name: f", {text}" for name, text in (where or {}).items()}
    first = [f"{name} ({count}{origin.get(name, '')})" for name, count in [*found.items()][:NAMED]]
    more = f", and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"{len(found)} parameter{'s hold' if len(found) > 1 else ' holds'} NaN or infinity: {', '.join(first)}{more}"


_ZEROS = memoryview(bytes(PORTION))
_WORDS: Mapping[int, Literal["H", "f", "d"]] = {2: "H", 4: "f", 8: "d"}
"""What a buffer of so many bytes an item is to Python, which has no name for a bfloat16."""


@dataclass(frozen=True, slots=True)
class _Wide:
    """A type of IEEE 754's kind: infinite where all bits of the exponent are set, NaN where more are."""

    size: int
    """Bytes of an element."""
    part: int
    """Bytes of a number: half of a complex element."""
    exponent: int
    """The bits of its exponent."""
    kernel: Literal["float16", "bfloat16", "float32", "float64"]
    """What SimSIMD calls the numbers' type."""

    def holds_any(self, block: memoryview) -> bool:
        """Tell whether a number in `block`, which has whole ones, is NaN or infinite."""
        if not _kernel_works(self):
            return True
        portions = (block[start : start + PORTION] for start in range(0, len(block), PORTION))
        return not all(map(self.are_finite, portions))

    def are_finite(self, portion: memoryview) -> bool:
        """Tell whether the numbers times zeros are zero."""
        numbers, zeros = (view.cast(_WORDS[self.part]) for view in (portion, _ZEROS[: len(portion)]))
        # Its type stubs know no views of floats, which it takes as well.
        return inner(cast("memoryview[int]", numbers), cast("memoryview[int]", zeros), self.kernel) == 0


@cache
def _kernel_works(wide: _Wide) -> bool:
    """Tell whether SimSIMD's kernel for this processor does as it should: there are many that nobody tried for glmd."""
    sign = 1 << 8 * wide.part - 1
    finite = [wide.exponent - 1, sign | wide.exponent - 1, 1, 0] * 25  # as many as no vector has
    for number in (wide.exponent, sign | wide.exponent, wide.exponent | 1, sign | wide.exponent | wide.exponent - 1):
        for place in range(len(finite)):
            numbers = [*finite[:place], number, *finite[place + 1 :]]
            if wide.are_finite(_encoded(numbers, wide.part)):
                return False
    return wide.are_finite(_encoded(finite, wide.part))


def _encoded(numbers: Sequence[int], part: int) -> memoryview:
    return memoryview(b"".join(number.to_bytes(part, "little") for number in numbers))


_WIDE: Mapping[str, _Wide] = {
    "Float16": _Wide(2, 2, 0x7C00, "float16"),
    "BFloat16": _Wide(2, 2, 0x7F80, "bfloat16"),
    "Float32": _Wide(4, 4, 0x7F80_0000, "float32"),
    "Float64": _Wide(8, 8, 0x7FF0_0000_0000_0000, "float64"),
    "Complex64": _Wide(8, 4, 0x7F80_0000, "float32"),
    "Complex128": _Wide(16, 8, 0x7FF0_0000_0000_0000, "float64"),
}
_NARROW: Mapping[str, tuple[bytes, bytes]] = {
    "Float8E4M3FN": (b"\x7f\xff", b""),
    "Float8E5M2": (b"\x7d\x7e\x7f\xfd\xfe\xff", b"\x7c\xfc"),
    "HiFloat8": (b"\x80", b"\x6f\xef"),
}
"""Of the types of one byte: what is NaN, and what is infinite. All other types of MindSpore hold neither."""


class Tally:
    """Counts in one parameter's content, which comes in consecutive portions of any size."""

    def __init__(self, type_: str) -> None:
        self._wide = _WIDE.get(type_)
        self._nan_bytes, self._infinite_bytes = _NARROW.get(type_, (b"", b""))
        self._cut = b""
        """The beginning of an element that the last portion cut off."""
        self._nan = 0
        self._infinite = 0

    @property
    def found(self) -> NotFinite:
        """What was counted so far."""
        return NotFinite(self._nan, self._infinite)

    def look(self, portion: memoryview) -> None:
        """Count in the next portion."""
        if self._wide is not None:
            self._look(self._wide, portion)
        elif self._nan_bytes:
            block = bytes(portion)
            self._nan += sum(map(block.count, self._nan_bytes))
            self._infinite += sum(map(block.count, self._infinite_bytes))

    def _look(self, wide: _Wide, portion: memoryview) -> None:
        if self._cut:
            lacking = wide.size - len(self._cut)
            self._cut += portion[:lacking]
            portion = portion[lacking:]
            if len(self._cut) < wide.size:
                return
            self._count(wide, memoryview(self._cut))
        whole = len(portion) - len(portion) % wide.size
        self._cut = bytes(portion[whole:])
        self._count(wide, portion[:whole])

    def _count(self, wide: _Wide, block: memoryview) -> None:
        """Count in whole elements."""
        if block and wide.holds_any(block):
            from handlers.ckpt.copying.exponents import count  # noqa: PLC0415 - as said above

            nan, infinite = count(block, wide.size, wide.part, wide.exponent)
            self._nan += nan
            self._infinite += infinite
