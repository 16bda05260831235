"""NaN and infinity in a parameter's bytes, counted by their bit patterns.

A training that diverged leaves them, and what goes on from its weights gets them too. MindFormers saves none on purpose
(0.8, 1.3, 1.5, 1.7 and 1.8 were read): attention masks with -inf are tensors, not parameters; Swin's mask, which is
one, has -100.

Nearly every block has none, and to see that must cost next to nothing beside the copy. numpy sees it fastest, but takes
0.05 to 0.1 s to import, a good part of the time in which a small run is merged. So until it is there, and always where
there is little to look at, Python's own bytes see it, at a third of a millisecond a mebibyte. They look at nothing but
each number's last byte, which has most of the exponent, and so may suspect what is finite but huge; numpy then counts.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

WORTH_NUMPY = 256 << 20
"""Bytes that are worth importing it."""
PORTION = 1 << 16
"""Bytes that are looked at at once without it, for they are copied."""
NAMED = 3
"""Parameters that a message names."""


@dataclass(frozen=True, slots=True)
class NotFinite:
    """How many elements of a parameter are no finite numbers. A complex one with a NaN part is counted as NaN only."""

    nan: int = 0
    infinite: int = 0

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.nan or self.infinite)

    def __str__(self) -> str:
        """Return it as `3 NaN, 1 infinite`."""
        counts = ((self.nan, "NaN"), (self.infinite, "infinite"))
        return ", ".join(f"{count} {what}" for count, what in counts if count) or "none"


def named(found: Mapping[str, NotFinite], where: Mapping[str, str] | None = None) -> str:
    """Say which parameters hold NaN or infinity: the first ones, perhaps with `where` from, and how many more."""
    origin = {name: f", {text}" for name, text in (where or {}).items()}
    first = [f"{name} ({count}{origin.get(name, '')})" for name, count in [*found.items()][:NAMED]]
    more = f", and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"{len(found)} parameter{'s hold' if len(found) > 1 else ' holds'} NaN or infinity: {', '.join(first)}{more}"


@dataclass(frozen=True, slots=True)
class _Wide:
    """A type of IEEE 754's kind: infinite where all bits of the exponent are set, NaN where more are."""

    size: int
    """Bytes of an element."""
    part: int
    """Bytes of a number: half of a complex element."""
    exponent: int
    """The bits of its exponent."""

    def suspects(self, block: memoryview) -> bool:
        """Tell whether `block` may hold NaN or infinity, as far as the last bytes of its numbers tell."""
        exponent = self.exponent >> 8 * (self.part - 1)
        suspect = [bytes((last,)) for last in range(256) if last & exponent == exponent]
        for start in range(0, len(block), PORTION):
            lasts = bytearray(block[start : start + PORTION])[self.part - 1 :: self.part]
            if any(last in lasts for last in suspect):
                return True
        return False


_WIDE: Mapping[str, _Wide] = {
    "Float16": _Wide(2, 2, 0x7C00),
    "BFloat16": _Wide(2, 2, 0x7F80),
    "Float32": _Wide(4, 4, 0x7F80_0000),
    "Float64": _Wide(8, 8, 0x7FF0_0000_0000_0000),
    "Complex64": _Wide(8, 4, 0x7F80_0000),
    "Complex128": _Wide(16, 8, 0x7FF0_0000_0000_0000),
}
_NARROW: Mapping[str, tuple[bytes, bytes]] = {
    "Float8E4M3FN": (b"\x7f\xff", b""),
    "Float8E5M2": (b"\x7d\x7e\x7f\xfd\xfe\xff", b"\x7c\xfc"),
    "HiFloat8": (b"\x80", b"\x6f\xef"),
}
"""Of the types of one byte: what is NaN, and what is infinite. All other types of MindSpore hold neither."""

_numpy_is_there = threading.Event()


@contextlib.contextmanager
def numpy_beside(nbytes: int) -> Iterator[None]:
    """Import numpy in a thread of its own while the block runs, if it is worth it for `nbytes` to be looked at."""
    if nbytes < WORTH_NUMPY:
        yield
        return
    thread = threading.Thread(target=_import_numpy, name="numpy")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _import_numpy() -> None:
    import handlers.ckpt.exponents  # noqa: PLC0415, F401 - as said above

    _numpy_is_there.set()


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
        if not block or not (_numpy_is_there.is_set() or wide.suspects(block)):
            return
        from handlers.ckpt.exponents import count, occurs  # noqa: PLC0415 - as said above

        if occurs(block, wide.part, wide.exponent):
            nan, infinite = count(block, wide.size, wide.part, wide.exponent)
            self._nan += nan
            self._infinite += infinite
