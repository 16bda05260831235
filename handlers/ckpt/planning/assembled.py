"""Tensors of the output that are put together from rows of the shards' parameters, under names of their own."""

import math
from dataclasses import dataclass
from typing import TypeAlias

from handlers.ckpt.entry import ITEM_SIZES
from handlers.ckpt.planning.plan import Parameter


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of one parameter of the shards: what has one index of its first dimension."""

    of: Parameter
    first: int
    count: int
    head: int = 0
    """How many rows an attention head has, of which the first half and the second are to alternate; 0: as they are."""

    @property
    def row(self) -> int:
        """Bytes of one row."""
        return self.of.nbytes // self.of.tiling.dims[0]


@dataclass(frozen=True, slots=True)
class Assembled:
    """One tensor of the output: rows behind one another."""

    name: str
    rows: tuple[Rows, ...]
    dims: tuple[int, ...]
    type: str

    @classmethod
    def of(cls, name: str, rows: tuple[Rows, ...]) -> "Assembled":
        """Put together `rows`, which agree in their type and in all dimensions but the first."""
        first = rows[0].of
        count = sum(part.count for part in rows)
        return cls(name, rows, (count, *first.tiling.dims[1:]), first.type)

    @property
    def nbytes(self) -> int:
        """Bytes of content."""
        return math.prod(self.dims) * ITEM_SIZES[self.type]


Written: TypeAlias = Parameter | Assembled
"""What a file of the output holds."""


def made_of(written: Written) -> tuple[Parameter, ...]:
    """Return the shards' parameters that something is made of."""
    return tuple(part.of for part in written.rows) if isinstance(written, Assembled) else (written,)
