"""The arithmetic of merging an adapter into its weight: W += scaling · B·A, block by block of the flattened weight.

Every element goes through the same operations in the same order, whatever block it comes in and whatever processor,
threads or BLAS there are: the products of B's row and A's column are added up in the order of the rank, each addition
rounded to float32 once, as a fused multiply-add does it; the sum is scaled in float32, added to the weight in float32,
and rounded to the weight's type, to nearest and ties to even.

That is what MindFormers' own tool (tools/transform_ckpt_lora.py, from 1.0 on) gives on a CPU, bit for bit, for Float32
adapters, as MindFormers 0.8 makes them: MindSpore's MatMul accumulates so there, but for a single row or column. numpy
has no fused multiply-add: the product, exact in float64, is added in float64 and the sum rounded to float32, which is
another unit in the last place where float64 happened to round onto a tie, about once in 2^29 additions. For Float16
adapters that tool computes in Float16 throughout, less exactly; on an NPU its MatMul has an order of its own.

Import this module only where there is something to update: numpy takes 0.1 s, which most merges are spared.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import ITEM_SIZES
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.planning.plan import LoraPair, Parameter

Floats: TypeAlias = NDArray[np.float32]
Stored: TypeAlias = NDArray[np.generic]
"""Elements as they lie in the file."""

TILE = 1 << 15
"""Elements computed at once: the intermediate results stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class _Rectangle:
    """Elements `start` to `stop` of a block: full or partial rows of the weight."""

    start: int
    stop: int
    rows: slice
    columns: slice


class Update:
    """What is added to one weight, `name` of `type_`, of shape (out, in): `a` is (rank, in), `b` is (out, rank)."""

    def __init__(self, name: str, type_: str, a: Floats, b: Floats, scaling: float) -> None:
        self._name = name
        self._type = type_
        self._scaling = np.float32(scaling)
        self._a = a.astype(np.float64)
        self._b = b.astype(np.float64)

    @classmethod
    def of(cls, weight: Parameter, pair: LoraPair, content: Callable[[Parameter], bytes]) -> Self:
        """Return what `pair` adds to `weight`; `content` reads a whole parameter."""
        a, b = (floats(content(half), half.type, half.dims) for half in (pair.a, pair.b))
        return cls(weight.name, weight.type, a, b, pair.scaling)

    def apply(self, at: int, block: memoryview) -> None:
        """Change `block`, the weight's bytes from byte `at` on, in place; threads may do so with several at once.

        Both lie on the bounds of elements. Raises InconsistentError where a result is beyond what the type can hold.
        """
        weight = np.frombuffer(block, _STORED[self._type])
        with np.errstate(over="raise", invalid="ignore", under="ignore"):
            try:
                for rectangle in self._rectangles(at // ITEM_SIZES[self._type], len(weight)):
                    part = weight[rectangle.start : rectangle.stop]
                    total = self._product(rectangle).reshape(-1)
                    total *= self._scaling
                    total += widened(part, self._type)
                    part[...] = narrowed(total, self._type)
            except FloatingPointError as error:
                raise InconsistentError(
                    f"{self._name}: with its adapter merged into it, an element is beyond what {self._type} can hold: "
                    f"is the scaling of {self._scaling:g} (lora_alpha / lora_rank) the training's?",
                    Code.ADAPTERS_UNFIT,
                ) from error

    def _rectangles(self, first: int, count: int) -> Iterator[_Rectangle]:
        """Cut `count` elements from element `first` of the weight into rows, as many whole ones at once as fit."""
        width = self._a.shape[1]
        done = 0
        while done < count:
            row, column = divmod(first + done, width)
            rows = 0 if column else min(TILE // width, (count - done) // width)
            length = rows * width or min(width - column, count - done)
            columns = slice(None) if rows else slice(column, column + length)
            yield _Rectangle(done, done + length, slice(row, row + (rows or 1)), columns)
            done += length

    def _product(self, rectangle: _Rectangle) -> Floats:
        """Return these elements of B·A, each summed up in the order of the rank."""
        a, b = self._a[:, rectangle.columns], self._b[rectangle.rows]
        exact = np.empty((len(b), a.shape[1]))
        total = np.zeros(exact.shape, np.float32)
        for k in range(len(a)):
            np.multiply(b[:, k : k + 1], a[k], out=exact)
            np.add(exact, total, out=exact)
            np.copyto(total, exact, casting="same_kind")
        return total


_STORED = {"Float16": "<f2", "BFloat16": "<u2", "Float32": "<f4"}
"""How numpy reads each type; it has no BFloat16, which is the upper half of a Float32."""


def floats(content: bytes, type_: str, dims: tuple[int, ...]) -> Floats:
    """Return an adapter's content as an array of shape `dims`."""
    return widened(np.frombuffer(content, _STORED[type_]), type_).reshape(dims)


def widened(stored: Stored, type_: str) -> Floats:
    """Return the values of elements of `type_` as float32, which holds each of them exactly."""
    if type_ == "BFloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)


def narrowed(values: Floats, type_: str) -> Stored:
    """Return `values` as elements of `type_`, rounded to nearest, ties to even.

    Raises FloatingPointError where a finite value is too large, when numpy is told to (errstate).
    """
    if type_ == "Float16":
        return values.astype(np.float16)
    if type_ == "BFloat16":
        return _bfloat16(values)
    return values


def _bfloat16(values: Floats) -> Stored:
    """Round on the bit pattern: adding just under half of the last kept bit, and that bit, carries where it must."""
    bits = values.view(np.uint32)
    rounded = ((bits + ((bits >> 16) & 1) + 0x7FFF) >> 16).astype(np.uint16)
    nan = np.isnan(values)
    if nan.any():
        rounded[nan] = (bits[nan] >> 16).astype(np.uint16) | 0x40  # the carry would make some of them infinite or zero
    if (((rounded & 0x7FFF) == 0x7F80) & np.isfinite(values)).any():
        raise FloatingPointError("overflow in the rounding to BFloat16")
    return rounded
