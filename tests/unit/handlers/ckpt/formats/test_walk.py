"""Promises of handlers.ckpt.formats.walk: a file is what its first bytes say, whatever it is called."""

import os
from pathlib import Path

import pytest

from handlers.ckpt import DamagedFileError, Format, InconsistentError, inspect, walk
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


@pytest.mark.parametrize("content", (CKPT, SAFETENSORS), ids=("ckpt", "safetensors"))
def test_a_file_that_changes_meanwhile_is_refused(
    written: Write, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """A training that still writes it shows in its size and times."""
    path = written(content)
    real = os.pread

    def growing(descriptor: int, length: int, offset: int) -> bytes:
        with path.open("ab") as stream:
            stream.write(b"x")
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", growing)
    with pytest.raises(InconsistentError, match="changed while it was read"):
        walk(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """As for any open."""
    with pytest.raises(FileNotFoundError):
        walk(tmp_path / "shard.ckpt")


def test_no_descriptor_is_left_open(written: Write) -> None:
    """Neither after success nor after a refusal."""
    good, bad = written(CKPT, "good"), written(CKPT[:-1], "bad")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
    walk(good)
    with pytest.raises(DamagedFileError):
        walk(bad)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
