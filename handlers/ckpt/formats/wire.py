"""The protobuf wire format, read by hand: bounded, without recursion, and never past what was given."""

from collections.abc import Iterator
from typing import NamedTuple

VARINT = 0
FIXED64 = 1
BYTES = 2
FIXED32 = 5
MAX_FIELDS = 1 << 18
"""Fields of one message. A strategy file has one a parameter; the bound keeps a hostile one from taking minutes."""

_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """The bytes are no protobuf; `offset` says where in the buffer."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


class PastEndError(WireError):
    """A message goes on where its bytes end."""


class Field(NamedTuple):
    """One field of a message: its number, and a varint's value or the span of its bytes.

    Not a dataclass: a strategy file has thousands of fields, and a frozen one takes four times as long to make.
    """

    number: int
    wire_type: int
    value: int
    start: int
    end: int
    at: int
    """Where the field's key stands, for messages."""


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the unsigned varint at `at` and the offset behind it; at most ten bytes, 64 bits."""
    if at < end and data[at] < 0x80:  # nearly all are
        return data[at], at + 1
    value = 0
    for count in range(10):
        if at + count >= end:
            raise PastEndError(at, "a number is cut off")
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, at + count + 1
    raise WireError(at, "a number has more than 64 bits")


def fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message at data[start:end]; raises WireError where it is none, or has over MAX_FIELDS."""
    at = start
    for _ in range(MAX_FIELDS):
        if at >= end:
            return
        key, behind = read_varint(data, at, end)
        number, wire_type = key >> 3, key & 7
        if not 1 <= number < 1 << 29:
            raise WireError(at, f"field number {number} does not exist")
        if wire_type == VARINT:
            value, behind = read_varint(data, behind, end)
            yield Field(number, wire_type, value, at, behind, at)
        elif wire_type in {BYTES, *_FIXED_SIZES}:
            if wire_type == BYTES:
                length, behind = read_varint(data, behind, end)
            else:
                length = _FIXED_SIZES[wire_type]
            if length > end - behind:
                raise PastEndError(at, f"field {number} claims {length} bytes where {end - behind} are left")
            yield Field(number, wire_type, 0, behind, behind + length, at)
            behind += length
        else:
            raise WireError(at, f"wire type {wire_type} does not exist")
        at = behind
    if at < end:
        raise WireError(at, f"a message has over {MAX_FIELDS} fields")


def signed(value: int) -> int:
    """Read an unsigned 64-bit varint as the int32 or int64 it encodes."""
    return value - (1 << 64) if value >= 1 << 63 else value


def varint(value: int) -> bytes:
    """Encode a number ≥ 0."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
