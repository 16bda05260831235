"""Promises of handlers.ckpt.formats.walk: a file is what its first bytes say, whatever it is called."""

import pytest

from handlers.ckpt import DamagedFileError, Format, inspect, walk
from handlers.ckpt.formats.walk import SNIFFED, format_of
from handlers.ckpt.looking.inspect import CkptTable
from tests.unit.handlers.ckpt.ckpt_writer import Write, record
from tests.unit.handlers.ckpt.hostile import CKPT, SAFETENSORS, STRATEGY, member, safetensors


@pytest.mark.parametrize("name", ("shard.ckpt", "shard.safetensors", "shard"))
def test_the_format_is_told_by_content(written: Write, name: str) -> None:
    """A suffix says nothing."""
    assert walk(written(CKPT, name)).format is Format.CKPT
    assert walk(written(SAFETENSORS, name)).format is Format.SAFETENSORS


@pytest.mark.parametrize("length", range(136, 136 + 256, 8))
def test_a_safetensors_is_one_whatever_its_headers_length(written: Write, length: int) -> None:
    """The first byte is the length's lowest; in steps of eight it is once what strategy files begin with."""
    empty = safetensors({"": member("U8", [1], 0, 1)}, b"x")
    content = safetensors({"a" * (length - int.from_bytes(empty[:8], "little")): member("U8", [1], 0, 1)}, b"x")
    assert walk(written(content)).format is Format.SAFETENSORS
    assert isinstance(inspect(written(content)), CkptTable)


@pytest.mark.parametrize("length", range(1, 300))
def test_a_ckpt_is_one_whatever_its_first_name(length: int) -> None:
    """No name makes a record look like another format, braces included."""
    assert format_of(record("{" * length, (1,), "Bool", b"x")[:SNIFFED]) is Format.CKPT


@pytest.mark.parametrize(
    "content", (STRATEGY, b"PK\x03\x04" + bytes(100), b"{}", b"\x89HDF\r\n\x1a\n", b"x", bytes(8)), ids=str
)
def test_what_is_neither_is_refused_with_its_first_bytes(written: Write, content: bytes) -> None:
    """The message shows the bytes that it was judged by."""
    with pytest.raises(DamagedFileError, match=f"neither a .ckpt nor a safetensors .* {content[:SNIFFED].hex(' ')};"):
        walk(written(content))


def test_an_empty_file_says_so(written: Write) -> None:
    """It is of no format."""
    with pytest.raises(DamagedFileError, match=r"shard\.ckpt is empty"):
        walk(written(b""))
