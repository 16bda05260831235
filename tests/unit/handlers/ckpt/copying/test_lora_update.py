"""Promises of ckpt.copying.lora_update: every element as MindFormers' own tool has it, whatever block it is in."""

import hashlib
import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from handlers.ckpt import InconsistentError
from handlers.ckpt.copying.lora_update import TILE, Update, narrowed, widened

Floats = NDArray[np.float32]
ITEM_SIZES = {"Float16": 2, "BFloat16": 2, "Float32": 4}
MANTISSAS = {"Float16": 11, "BFloat16": 8, "Float32": 24}
"""Bits, the hidden one included."""
TYPES = tuple(ITEM_SIZES)


def stored(values: Floats, type_: str) -> bytes:
    """Return values as a shard of this type holds them."""
    return narrowed(values.astype(np.float32), type_).tobytes()


def values(content: bytes | bytearray, type_: str) -> NDArray[np.float64]:
    """Return what a shard's bytes mean."""
    raw = np.frombuffer(content, {2: "<u2" if type_ == "BFloat16" else "<f2", 4: "<f4"}[ITEM_SIZES[type_]])
    return widened(raw, type_).astype(np.float64)


def formula(rows: int, columns: int, factor: int, divisor: float) -> Floats:
    """Return numbers that MindSpore was given too, without drawing them at random."""
    numbers = (np.arange(rows * columns) * factor % 65521 - 32760) / divisor
    return numbers.astype(np.float32).reshape(rows, columns)


WEIGHT = formula(48, 80, 2654435761, 1e6)
A = formula(8, 80, 40503, 3e5)
B = formula(48, 8, 30011, 3e5)


def updated(update: Update, content: bytes, *, at: int = 0) -> bytes:
    """Apply an update to a copy of `content`."""
    block = bytearray(content)
    update.apply(at, memoryview(block))
    return bytes(block)


@pytest.mark.parametrize(
    ("type_", "scaling", "digest"),
    (
        ("Float16", 32 / 8, "a88b704f098d40e62e1ca4a9bcd212740503b1e539e14b1faa122f147965298c"),
        ("Float16", 10 / 3, "15ee1c896758cccb3549bf040dfe233772710630d7b7d46a1bb84f6d2e819ee8"),
        ("Float32", 32 / 8, "ca4e990b154777b9de22d8bbc3be33a47809173efbc4d527660f01276856cd22"),
        ("Float32", 10 / 3, "cabad36d698c5364139359093762d1ef4bbc59254059fd1199dd684733b7d087"),
    ),
)
def test_the_bytes_are_those_of_mindformers_tool(type_: str, scaling: float, digest: str) -> None:
    """Recorded from MindSpore 2.0.0 and 2.10 on a CPU, doing what transform_ckpt_lora.py does."""
    result = updated(Update("w", type_, A, B, scaling), stored(WEIGHT, type_))
    assert hashlib.sha256(result).hexdigest() == digest


def test_bfloat16_too() -> None:
    """Recorded from MindSpore 2.10, which has the type; the digest is of the values as float32."""
    result = updated(Update("w", "BFloat16", A, B, 4.0), stored(WEIGHT, "BFloat16"))
    as_float32 = values(result, "BFloat16").astype("<f4").tobytes()
    assert hashlib.sha256(as_float32).hexdigest() == "0795f3e1cb6fa212798352ca1260184727f5d5d951e452dc3e81fcc727aafca5"


@st.composite
def adapters(draw: st.DrawFn) -> tuple[Floats, Floats, Floats, float]:
    """Draw a weight, its adapter's halves, and a scaling."""
    rows, columns, rank = draw(st.integers(1, 12)), draw(st.integers(1, 40)), draw(st.integers(1, 9))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from((1e-6, 0.02, 3.0)))
    weight, a, b = (
        (generator.standard_normal(shape) * size).astype(np.float32)
        for shape in ((rows, columns), (rank, columns), (rows, rank))
    )
    return weight, a, b, draw(st.sampled_from((4.0, 2.0, 1 / 3, 16.0)))


@given(drawn=adapters(), type_=st.sampled_from(TYPES), cuts=st.lists(st.integers(0, 12 * 40), max_size=8))
def test_any_partition_into_blocks_gives_the_same_bytes(
    drawn: tuple[Floats, Floats, Floats, float], type_: str, cuts: list[int]
) -> None:
    """Blocks may begin and end inside a row."""
    weight, a, b, scaling = drawn
    update = Update("w", type_, a, b, scaling)
    content = stored(weight, type_)
    size = ITEM_SIZES[type_]
    bounds = sorted({0, len(content), *(cut * size for cut in cuts if cut * size < len(content))})
    parts = [updated(update, content[start:end], at=start) for start, end in itertools.pairwise(bounds)]
    assert b"".join(parts) == updated(update, content)


@pytest.mark.parametrize("columns", (1000, TILE - 1, TILE + 1))
def test_blocks_of_many_tiles(columns: int) -> None:
    """Rows are computed several at once, or in one when they are long."""
    generator = np.random.default_rng(3)
    rows = 2 * TILE // columns + 3
    weight, a, b = (
        generator.standard_normal(shape).astype(np.float32) for shape in ((rows, columns), (2, columns), (rows, 2))
    )
    update = Update("w", "Float32", a, b, 0.5)
    content = stored(weight, "Float32")
    cut = 4 * (columns + columns // 2)
    whole = updated(update, content)
    assert updated(update, content[:cut]) + updated(update, content[cut:], at=cut) == whole
    expected = weight + 0.5 * (b.astype(np.float64) @ a)
    assert np.allclose(values(whole, "Float32").reshape(rows, columns), expected, rtol=1e-5, atol=1e-5)


@given(drawn=adapters(), type_=st.sampled_from(TYPES))
def test_it_is_the_sum_within_rounding(drawn: tuple[Floats, Floats, Floats, float], type_: str) -> None:
    """Against float64: off by half a unit of the type, and float32's error of the sum."""
    weight, a, b, scaling = drawn
    content = stored(weight, type_)
    before = values(content, type_).reshape(weight.shape)
    exact = before + scaling * (b.astype(np.float64) @ a.astype(np.float64))
    terms = abs(before) + scaling * (abs(b.astype(np.float64)) @ abs(a.astype(np.float64)))
    bound = abs(exact) * 2.0 ** -MANTISSAS[type_] + terms * (len(a) + 3) * 2.0**-24 + 2.0**-25
    result = values(updated(Update("w", type_, a, b, scaling), content), type_).reshape(weight.shape)
    assert (abs(result - exact) <= bound).all()


@pytest.mark.parametrize("type_", TYPES)
def test_an_untrained_adapter_changes_nothing(type_: str) -> None:
    """B starts as zeros."""
    content = stored(WEIGHT, type_)
    assert updated(Update("w", type_, A, np.zeros_like(B), 4.0), content) == content


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
def test_bfloat16_rounds_to_nearest_even(patterns: list[int]) -> None:
    """Held against the two neighbours of each float32; infinities stay, and NaN stays one."""
    exact = np.array(patterns, np.uint32).view(np.float32)
    exact = exact[~(np.isfinite(exact) & (abs(exact.astype(np.float64)) > 3.38e38))]  # too large: refused
    rounded = narrowed(exact, "BFloat16").astype(np.uint32)
    lower = exact.view(np.uint32) >> 16
    for value, down, found in zip(exact.tolist(), lower.tolist(), rounded.tolist(), strict=True):
        below, above = np.array([down << 16, (down + 1) << 16], np.uint64).astype(np.uint32).view(np.float32).tolist()
        if np.isnan(value):
            assert np.isnan(np.array(found << 16, np.uint32).view(np.float32))
        elif below == value:
            assert found == down
        elif abs(value - below) != abs(above - value):
            assert found == (down if abs(value - below) < abs(above - value) else down + 1)
        else:
            assert found in {down, down + 1}
            assert found % 2 == 0


@pytest.mark.parametrize(("type_", "largest"), (("Float16", 65504.0), ("BFloat16", 3.38e38), ("Float32", 3.4e38)))
def test_what_the_type_cannot_hold_is_refused(type_: str, largest: float) -> None:
    """MindFormers' tool writes infinity."""
    weight = stored(np.full((2, 3), largest, np.float32), type_)
    update = Update("layer.weight", type_, np.full((1, 3), 1e19, "f4"), np.full((2, 1), 3e18, "f4"), 1.0)
    with pytest.raises(InconsistentError, match=f"layer.weight: .* beyond what {type_} can hold: is the scaling of 1 "):
        updated(update, weight)


@pytest.mark.parametrize("type_", TYPES)
def test_what_is_infinite_or_nan_already_stays_so(type_: str) -> None:
    """A weight is taken as the training left it; no warning comes up."""
    weight = stored(np.array([[np.inf, -np.inf, np.nan, 1.0]], np.float32), type_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = values(updated(Update("w", type_, np.ones((1, 4), "f4"), np.ones((1, 1), "f4"), 1.0), weight), type_)
    assert result.tolist()[:2] == [np.inf, -np.inf]
    assert np.isnan(result[2])
    assert result[3] == 2.0
