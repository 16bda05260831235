"""Promises of handlers.ckpt.copying.finite: every NaN and infinity, of any type, in any portions."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.ckpt import NotFinite
from handlers.ckpt.copying import finite
from handlers.ckpt.copying.finite import Tally, named
from handlers.ckpt.entry import ITEM_SIZES

SPECIAL = {
    "Float16": ("007c", "00fc", "007e", "017c", "fffd", "ff7b", "fffb", "0000", "0080"),
    "BFloat16": ("807f", "80ff", "c07f", "817f", "ffff", "7f7f", "7fff", "0000", "0080"),
    "Float32": ("0000807f", "000080ff", "0000c07f", "0100807f", "ffffffff", "ffff7f7f", "ffff7fff", "00000000"),
    "Float64": ("000000000000f07f", "000000000000f0ff", "010000000000f07f", "ffffffffffffffff", "ffffffffffffef7f"),
}
"""Infinities, NaN of both kinds and signs, and their greatest finite neighbours."""


def float_of(letter: str) -> Callable[[bytes], tuple[complex, ...]]:
    """Return what decodes the numbers of a block with the standard library."""
    return lambda content: struct.unpack(f"<{len(content) // struct.calcsize(letter)}{letter}", content)


DECODED: dict[str, Callable[[bytes], tuple[complex, ...]]] = {
    "Float16": float_of("e"),
    "BFloat16": lambda content: float_of("f")(
        b"".join(b"\0\0" + content[at : at + 2] for at in (*range(0, len(content), 2),))
    ),
    "Float32": float_of("f"),
    "Float64": float_of("d"),
    "Float8E5M2": lambda content: float_of("e")(b"".join(bytes((0, each)) for each in content)),
}


def expected(type_: str, content: bytes) -> NotFinite:
    """Count one element after the other."""
    if type_ in {"Complex64", "Complex128"}:
        parts = DECODED["Float32" if type_ == "Complex64" else "Float64"](content)
        elements = [*zip(parts[::2], parts[1::2], strict=True)]
    elif type_ in DECODED:
        elements = [(each,) for each in DECODED[type_](content)]
    elif type_ in {"Float8E4M3FN", "HiFloat8"}:
        nan, infinite = ({0x7F, 0xFF}, set[int]()) if type_ == "Float8E4M3FN" else ({0x80}, {0x6F, 0xEF})
        return NotFinite(sum(each in nan for each in content), sum(each in infinite for each in content))
    else:
        return NotFinite()
    nan = [any(part != part for part in element) for element in elements]  # noqa: PLR0124 - as only NaN does
    infinite = [any(abs(part) == float("inf") for part in element) for element in elements]
    return NotFinite(sum(nan), sum(inf and not is_nan for inf, is_nan in zip(infinite, nan, strict=True)))


def counted(type_: str, content: bytes, portion: int) -> NotFinite:
    """Count in portions."""
    tally, view = Tally(type_), memoryview(content)
    for start in range(0, len(view), portion):
        tally.look(view[start : start + portion])
    return tally.found


@st.composite
def contents(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a type, and elements of it: special ones, and any bits."""
    type_ = draw(st.sampled_from(sorted(ITEM_SIZES)))
    part = {"Complex64": "Float32", "Complex128": "Float64"}.get(type_, type_)
    special = [bytes.fromhex(each) for each in SPECIAL.get(part, ())]
    any_bits = st.binary(min_size=ITEM_SIZES[part], max_size=ITEM_SIZES[part])
    numbers = draw(st.lists(st.one_of(any_bits, *([st.sampled_from(special)] if special else [])), max_size=40))
    return type_, b"".join(numbers[: len(numbers) // 2 * 2])


@pytest.fixture(params=(True, False), ids=("vectors", "numpy alone"))
def looked_at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Return once with a kernel that does as it should, and once as on a processor where it does not."""
    if not request.param:
        monkeypatch.setattr(finite, "_kernel_works", lambda _: False)


@pytest.mark.usefixtures("looked_at")
def test_any_content_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each type, in portions that cut elements, at any place in memory: as one element after the other says."""
    monkeypatch.setattr(finite, "PORTION", 32)

    @settings(max_examples=400, deadline=None)
    @given(contents(), st.integers(1, 50))
    def holds(content: tuple[str, bytes], portion: int) -> None:
        assert counted(*content, portion) == expected(*content)

    holds()


@pytest.mark.parametrize("type_", ("Float16", "BFloat16", "Float32", "Float64"))
def test_one_among_many_is_found_wherever_it_is(type_: str) -> None:
    """In blocks of all lengths that a vector can be filled by in part; the greatest finite numbers are no NaN."""
    numbers = [*map(bytes.fromhex, SPECIAL[type_])]
    wrong = [number for number in numbers if expected(type_, number)]
    finite_ones = [number for number in numbers if number not in wrong]
    for length in (*range(1, 70), 1000):
        good = (finite_ones * length)[:length]
        assert counted(type_, b"".join(good), 1 << 20) == NotFinite()
        for number in wrong:
            place = length * 7 % len(good)
            block = b"".join([*good[:place], number, *good[place + 1 :]])
            assert counted(type_, block, 1 << 20) == expected(type_, block) != NotFinite()


@pytest.mark.usefixtures("looked_at")
@pytest.mark.parametrize("type_", ("Float16", "BFloat16"))
def test_every_number_of_two_bytes(type_: str) -> None:
    """Each by itself."""
    for number in range(1 << 16):
        content = number.to_bytes(2, "little")
        assert counted(type_, content, 2) == expected(type_, content)


@pytest.mark.parametrize("missed", range(4))
def test_a_kernel_that_misses_something_is_not_trusted(missed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """SimSIMD has kernels for processors that nobody tried it on for glmd: each is tried before its first use."""
    wide = finite._WIDE["Float16"]
    wrong = (0x7C00, 0xFC00, 0x7C01, 0xFFFF)[missed]

    def inner(numbers: memoryview, zeros: memoryview, kernel: str) -> float:
        del zeros, kernel
        return float(any(number & 0x7C00 == 0x7C00 and number != wrong for number in numbers.tolist()))

    monkeypatch.setattr(finite, "inner", inner)
    finite._kernel_works.cache_clear()
    try:
        assert not finite._kernel_works(wide)
    finally:
        finite._kernel_works.cache_clear()


@pytest.mark.parametrize("type_", ("Float8E4M3FN", "Float8E5M2", "HiFloat8", "Int8", "UInt8", "Bool", "Int4"))
def test_every_number_of_one_byte(type_: str) -> None:
    """Each by itself; whole numbers hold neither NaN nor infinity."""
    for number in range(256):
        assert counted(type_, bytes((number,)), 1) == expected(type_, bytes((number,)))


def test_types_without_nan_are_not_looked_at() -> None:
    """Neither whole numbers nor text, whatever their bits."""
    for type_ in ("Int16", "UInt32", "Int64", "UInt64", "Bool", "str"):
        assert not counted(type_, b"\xff" * 64, 7)


def test_what_is_said() -> None:
    """The first three by name, with their counts, where they come from, and how many more."""
    assert named({"a": NotFinite(1, 0)}) == "1 parameter holds NaN or infinity: a (1 NaN)"
    found = {name: NotFinite(2, 3) for name in "abcde"}
    assert named(found, {"a": "rank 1"}) == (
        "5 parameters hold NaN or infinity: a (2 NaN, 3 infinite, rank 1), b (2 NaN, 3 infinite), "
        "c (2 NaN, 3 infinite), and 2 more"
    )
