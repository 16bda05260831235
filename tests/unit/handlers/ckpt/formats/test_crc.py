"""Promises of ckpt.formats.crc: the CRC that MindSpore wrote is compared with what is there now, in bounded memory."""

import os
import tracemalloc
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import DamagedFileError, InconsistentError, check_crc, walk
from handlers.ckpt.formats.crc import BLOCK, MAX_NULS
from handlers.ckpt.formats.record import frame
from tests.unit.handlers.ckpt.ckpt_writer import Array, Write
from tests.unit.handlers.ckpt.hostile import CKPT, CKPT_WITH_CRC, SAFETENSORS, member, safetensors

MINDSPORE = (
    b'\x10\x02\0\0\0\0\0\0{"__metadata__":{"format":"ms","crc_num":"3102907627"},'
    b'"e":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"f":{"dtype":"F32","shape":[],"data_offsets":[8,12]},'
    b'"w":{"dtype":"F32","shape":[2,3],"data_offsets":[12,36]},"o":{"dtype":"I32","shape":[1],"data_offsets":[36,40]},'
    b'"u":{"dtype":"U8","shape":[],"data_offsets":[40,41]},"ob":{"dtype":"BOOL","shape":[1],"data_offsets":[41,42]},'
    b'"t":{"dtype":"BOOL","shape":[],"data_offsets":[42,43]}}'
)
"""A header that MindSpore 2.10 wrote, with a CRC of its own."""
MINDSPORE_CKPT = (
    b"\n3\n\x08b.weight\x12'\x08\x02\x08\x03\x12\x07Float32\x1a\x18\x00\x00\x00\x00\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@\x00\x00\xa0@\n\x18\n\x01a\x12\x13"
    b"\x08\x03\x12\x07Float16\x1a\x06\x00\x00\x00<\x00@\n\x14\n\x01s\x12\x0f\x12\x07Float32\x1a\x04\x00\x00\xc0?\n\x18\n\x01i\x12\x13\x08\x01\x12\x05Int64\x1a\x08\x03"
    b"\x00\x00\x00\x00\x00\x00\x00\n\x0e\n\x01t\x12\t\x12\x04Bool\x1a\x01\x01\n\x1e\n\x05z_f32\x12\x15\x08\x02\x12\x07Float32\x1a\x08\x00\x00\x80?\x00\x00\x80?\n\x15\n\x04a"
    b'_i8\x12\r\x08\x03\x12\x04Int8\x1a\x03\x01\x01\x01\n\x14\n\x03\xc3\xa9"\x12\r\x08\x03\x12\x04Int8\x1a\x03\x01\x01\x01crc_num\x00\x00\x00\x00\x00\x00\xc7\x89\x13\xa3'
)
"""A whole file of eight parameters that it wrote."""
CONTENT = b"".join(
    (
        np.int64(31).tobytes(),
        np.float32(1.5).tobytes(),
        np.arange(6, dtype=np.float32).tobytes(),
        np.int32(31).tobytes(),
        b"\x07\x01\x01",
    )
)


def padded(header: bytes) -> bytes:
    """Pad the header to the length that it begins with."""
    return header.ljust(8 + int.from_bytes(header[:8], "little"))


def saved(arrays: Mapping[str, Array]) -> bytes:
    """Encode a safetensors file as MindSpore does with crc_check=True, through Python's own bytes()."""
    crc = 0
    for name in sorted(arrays):
        crc = zlib.crc32(bytes(arrays[name]), zlib.crc32(name.encode(), crc))
    members: dict[str, object] = {"__metadata__": {"crc_num": str(crc)}}
    dtypes = {"int32": "I32", "int64": "I64", "uint8": "U8", "float32": "F32", "bool": "BOOL"}
    at = 0
    for name, array in arrays.items():
        members[name] = member(dtypes[array.dtype.name], list(array.shape), at, at + array.nbytes)
        at += array.nbytes
    return safetensors(members, b"".join(array.tobytes() for array in arrays.values()))


def test_a_whole_ckpt_matches(written: Write) -> None:
    """The CRC is of all bytes before the trailer."""
    check_crc(walk(written(CKPT_WITH_CRC)))


def test_a_ckpt_of_mindspore_matches(written: Write) -> None:
    """The trailer is found and compared as MindSpore 2.10 wrote it."""
    file = walk(written(MINDSPORE_CKPT))
    assert (len(file.entries), file.crc) == (8, 0xC78913A3)
    check_crc(file)


def test_a_safetensors_of_mindspore_matches(written: Write) -> None:
    """Integers without dimensions, which MindSpore takes for lengths, included."""
    file = walk(written(padded(MINDSPORE) + CONTENT))
    assert file.crc == 3102907627
    check_crc(file)


@pytest.mark.parametrize(
    "array",
    (
        np.array(31, "int64"),
        np.array(0, "int32"),
        np.array(200, "uint8"),
        np.array(3 * BLOCK + 1, "int32"),
        np.array([31], "int64"),
        np.array([], "int64").reshape(0, 2),
        np.array(1.5, "float32"),
        np.array(True),
        np.arange(BLOCK, dtype="float32"),
    ),
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_every_kind_of_tensor_matches(written: Write, array: Array) -> None:
    """Whatever bytes() makes of it, around another tensor."""
    check_crc(walk(written(saved({"b": np.arange(3, dtype="int32"), "a": array, "c": np.array([True])}))))


def test_a_file_without_a_crc_is_left_alone(written: Write) -> None:
    """Nothing is read, so nothing can be wrong."""
    for content in (CKPT, SAFETENSORS):
        path = written(content)
        file = walk(path)
        path.unlink()
        check_crc(file)


@pytest.mark.parametrize("content", (CKPT_WITH_CRC, padded(MINDSPORE) + CONTENT), ids=("ckpt", "safetensors"))
def test_a_changed_byte_of_content_is_found(written: Write, content: bytes) -> None:
    """Headers are whole, so that walking finds nothing wrong: only the CRC tells."""
    file = walk(written(content))
    entry = next(entry for entry in file.entries.values() if entry.nbytes > 20)
    damaged = bytearray(content)
    damaged[entry.extents[0].offset + 5] ^= 1
    file = walk(written(bytes(damaged)))
    with pytest.raises(
        DamagedFileError, match=r"shard\.ckpt: its content has CRC 0x[0-9a-f]{8}, but it was saved with"
    ):
        check_crc(file)


def test_a_crc_over_32_bits_matches_nothing(written: Write) -> None:
    """MindSpore writes ten bytes; four are used."""
    crc = (zlib.crc32(CKPT) + (1 << 32)).to_bytes(10, "big")
    with pytest.raises(DamagedFileError, match="saved with 0x1"):
        check_crc(walk(written(CKPT + b"crc_num" + crc)))


@pytest.mark.parametrize("number", (-1, MAX_NULS + 1))
def test_a_number_that_would_take_forever_is_refused(written: Write, number: int) -> None:
    """MindSpore could not have saved a CRC with it."""
    members = {"__metadata__": {"crc_num": "1"}, "step": member("I64", [], 0, 8)}
    content = safetensors(members, number.to_bytes(8, "little", signed=True))
    with pytest.raises(DamagedFileError, match=rf"step: no file with a CRC has the number {number} here"):
        check_crc(walk(written(content)))


def test_a_file_that_changed_since_is_refused(written: Write) -> None:
    """What was walked is what is compared."""
    file = walk(written(CKPT_WITH_CRC))
    written(CKPT_WITH_CRC + CKPT)
    with pytest.raises(InconsistentError, match="changed since it was walked"):
        check_crc(file)


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A file of 64 MiB is compared through one block."""
    path = tmp_path / "big.ckpt"
    length = 64 << 20
    head = frame("big", (length,), "Int8", length)
    crc = zlib.crc32(bytes(length), zlib.crc32(head))
    with path.open("wb") as stream:
        stream.write(head)
        os.ftruncate(stream.fileno(), len(head) + length)
        stream.seek(0, os.SEEK_END)
        stream.write(b"crc_num" + crc.to_bytes(10, "big"))
    file = walk(path)
    tracemalloc.start()
    check_crc(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * BLOCK
