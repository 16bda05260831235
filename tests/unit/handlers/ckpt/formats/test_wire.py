"""Promises of handlers.ckpt.formats.wire: numbers survive, and nothing is read past its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.ckpt.formats.wire import BYTES, MAX_FIELDS, VARINT, WireError, fields, read_varint, signed, varint
from tests.unit.handlers.ckpt import ckpt_writer


@given(value=st.integers(0, (1 << 64) - 1))
def test_numbers_survive(value: int) -> None:
    """Encoded and read, a number is itself, and its end is found."""
    encoded = varint(value)
    assert encoded == ckpt_writer.varint(value)
    assert read_varint(encoded + b"\xff", 0, len(encoded)) == (value, len(encoded))


@given(value=st.integers(-(1 << 63), (1 << 63) - 1))
def test_signed_numbers_survive(value: int) -> None:
    """Negative ones are 64-bit two's complement."""
    encoded = ckpt_writer.varint(value)
    assert signed(read_varint(encoded, 0, len(encoded))[0]) == value


def test_fields_are_told_apart() -> None:
    """Numbers and bytes, with the spans of the latter; fixed-width fields are passed over."""
    message = ckpt_writer.number(1, 300) + b"\x11" + bytes(8) + b"\x1d" + bytes(4) + ckpt_writer.blob(4, b"abc")
    found = list(fields(message, 0, len(message)))
    assert [(field.number, field.wire_type) for field in found] == [(1, VARINT), (2, 1), (3, 5), (4, BYTES)]
    assert message[found[3].start : found[3].end] == b"abc"


@given(content=st.binary(max_size=60))
def test_any_bytes_end_or_are_refused(content: bytes) -> None:
    """No field reaches past the message, whatever it claims."""
    try:
        assert all(field.end <= len(content) for field in fields(content, 0, len(content)))
    except WireError as error:
        assert 0 <= error.offset <= len(content)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("message", (b"\x00\x00", b"\x0b", b"\x0c", b"\x0f\x01", b"\x0a\x05abc", b"\x08\x80", b"\x80"))
def test_what_is_no_protobuf_is_refused(message: bytes) -> None:
    """Field 0, groups, unknown wire types, lengths past the end, numbers cut off."""
    with pytest.raises(WireError):
        list(fields(message, 0, len(message)))


@pytest.mark.parametrize("extra", (0, 1))
def test_countless_fields_are_refused(extra: int) -> None:
    """A message of as many fields as are allowed is read, one of more is refused after those."""
    message = b"\x08\x01" * (MAX_FIELDS + extra)
    found = fields(message, 0, len(message))
    for _ in range(MAX_FIELDS):
        next(found)
    with pytest.raises(WireError if extra else StopIteration):
        next(found)
