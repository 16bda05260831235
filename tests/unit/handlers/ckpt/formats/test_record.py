"""Promises of handlers.ckpt.formats.record alone; test_checkpoint_formats.py has what every format keeps."""

import numpy as np
import pytest

from handlers.ckpt import DamagedFileError, UnsupportedLayoutError, walk
from handlers.ckpt.entry import Family
from handlers.ckpt.formats.record import MAX_RECORDS, WINDOW, frame, walk_file
from tests.unit.handlers.ckpt.ckpt_writer import Write, blob, ckpt, number, record, varint

WHOLE = ckpt(
    {
        "a.weight": np.arange(12, dtype="float16").reshape(3, 4),
        "adam_m.a.weight": np.zeros((3, 4), "float32"),
        "loss_scale": np.array(1.5, "float32"),
        "global_step": np.array([3], "int32"),
    }
)


def test_finds_every_entry_with_its_bytes(written: Write) -> None:
    """Names, dims, types and the place of the content are those that were written, in order."""
    file = walk(written(WHOLE))
    assert [(e.name, e.dims, e.type) for e in file.entries.values()] == [
        ("a.weight", (3, 4), "Float16"),
        ("adam_m.a.weight", (3, 4), "Float32"),
        ("loss_scale", (0,), "Float32"),
        ("global_step", (1,), "Int32"),
    ]
    extent = file.entries["a.weight"].extents[0]
    assert WHOLE[extent.offset : extent.offset + extent.length] == np.arange(12, dtype="float16").tobytes()
    families = [entry.family for entry in file.entries.values()]
    assert families == [Family.WEIGHTS, Family.OPTIMIZER, Family.SCALARS, Family.SCALARS]


@pytest.mark.parametrize("dims", ((), (0,), (1,)))
def test_scalars_of_every_spelling_hold_one_element(written: Write, dims: tuple[int, ...]) -> None:
    """Dims [], [0] and [1] are one element each."""
    assert walk(written(record("step", dims, "Int32", bytes(4)))).entries["step"].nbytes == 4


def test_text_has_any_length(written: Write) -> None:
    """A str entry has dims [0] whatever its length, and is four bytes a character."""
    assert walk(written(record("note", (0,), "str", "hello".encode("utf-32-le")))).entries["note"].nbytes == 20
    with pytest.raises(DamagedFileError, match="note"):
        walk(written(record("note", (0,), "str", b"hello")))


@pytest.mark.parametrize(
    ("type_name", "item_size"),
    (
        *((name, 1) for name in ("Bool", "Int8", "UInt8", "Int4", "Float8E4M3FN", "Float8E5M2", "HiFloat8")),
        *((name, 2) for name in ("Int16", "UInt16", "Float16", "BFloat16")),
        *((name, 4) for name in ("Int32", "UInt32", "Float32")),
        *((name, 8) for name in ("Int64", "UInt64", "Float64", "Complex64")),
        ("Complex128", 16),
    ),
)
def test_every_type_of_mindspore_has_its_size(written: Write, type_name: str, item_size: int) -> None:
    """Those that save_checkpoint of 2.10 wrote, each with the bytes of six elements that it wrote."""
    assert walk(written(record("w", (2, 3), type_name, bytes(6 * item_size)))).entries["w"].type == type_name
    with pytest.raises(DamagedFileError, match=f"but {type_name}"):
        walk(written(record("w", (2, 3), type_name, bytes(6 * item_size + 1))))


def test_a_crc_is_found_and_is_no_record(written: Write) -> None:
    """The trailer of crc_check=True is a number of the file, not an entry, and not compared by walking."""
    file = walk(written(WHOLE + b"crc_num" + (123).to_bytes(10, "big")))
    assert file.crc == 123
    assert file.entries == walk(written(WHOLE)).entries
    assert walk(written(WHOLE)).crc is None


@pytest.mark.parametrize("length", (1, 6, 7, 16))
def test_a_crc_that_is_cut_off_is_refused(written: Write, length: int) -> None:
    """Cut inside the trailer, the file is refused for that."""
    trailer = (b"crc_num" + bytes(10))[:length]
    for content in (WHOLE + trailer, trailer):
        with pytest.raises(DamagedFileError, match="its CRC trailer is cut off"):
            walk_file(written(content))


def test_records_of_one_name_are_chunks(written: Write) -> None:
    """A tensor cut into records of one name is one entry with several extents."""
    content = record("big", (3,), "Int32", bytes(8)) + record("big", (3,), "Int32", bytes(4))
    assert [extent.length for extent in walk(written(content)).entries["big"].extents] == [8, 4]


def test_packed_dims_are_read_too(written: Write) -> None:
    """Another serializer may pack repeated numbers."""
    tensor = blob(1, varint(2) + varint(300)) + blob(2, b"Bool") + blob(3, bytes(600))
    assert walk(written(blob(1, blob(1, b"mask") + blob(2, tensor)))).entries["mask"].dims == (2, 300)


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (b"", "empty"),
        (b"\0" * 100, "neither a .ckpt nor a safetensors"),
        (b"garbage that is no protobuf at all", "neither a .ckpt nor a safetensors"),
        (WHOLE + b"x", "no record begins here"),
        (WHOLE + WHOLE, "a.weight: it is in the file twice"),
        (record("a", (3, 4), "Float16", bytes(22)), "a: 22 bytes of content in 1 records, but Float16.* is 24 bytes"),
        (record("a", (2,), "Float16", bytes(4)) * 2, "a: 8 bytes of content in 2 records"),
        (record("a", (3,), "Int32", bytes(8)) + record("a", (4,), "Int32", bytes(4)), "a: a chunk says"),
        (record("a", (-1, 4), "Float16", bytes(8)), "a: dims .* are impossible"),
        (record("a", (1,) * 40, "Float16", bytes(2)), "a: dims .* are impossible"),
        (record("a" * WINDOW, (1,), "Float16", bytes(2)), f"over {WINDOW} bytes"),
        (blob(1, blob(1, b"\xff\xfe") + blob(2, b"")), "not UTF-8"),
        (blob(1, blob(1, b"a")), "claims|begins|missing"),
        (b"\x0a" + varint(1 << 62) + b"\x0a\x01a", "cut off|ends inside"),
        (b"\x0a" + b"\xff" * 11, "more than 64 bits"),
        (
            blob(1, blob(1, b"a") + blob(2, number(1, 1) + blob(2, b"Bool") + blob(3, b"x")) + b"\x20\x01"),
            "a: its tensor",
        ),
        (
            blob(1, blob(1, b"a") + blob(2, number(1, 1) + blob(2, b"Bool") + blob(3, b"x") + b"\x20\x01")),
            "a: its content",
        ),
        (blob(1, blob(1, b"a") + b"\x12\x7f" + number(1, 1)), "claims 127 bytes"),
    ),
)
def test_hostile_content_is_refused_with_file_and_reason(written: Write, content: bytes, reason: str) -> None:
    """What is no whole checkpoint is refused by our own error, with the file's name, the place and the reason."""
    with pytest.raises(DamagedFileError, match=f"(?s)shard.ckpt.*({reason})"):
        walk(written(content))


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (b"\xd8\x5e\x3a\x7f" + bytes(64), "encrypted"),
        (b"\xd9\x5e\x3a\x7f" + bytes(64), "encrypted"),
        (b"\xda\x5e\x3a\x7f" + bytes(64), "encrypted"),
        (record("a", (1,), "Float4", b"x"), "a: tensor type 'Float4'"),
        (blob(1, blob(1, b"table") + blob(3, b"")), "table is a map parameter"),
    ),
)
def test_what_this_version_does_not_read_is_refused_by_name(written: Write, content: bytes, reason: str) -> None:
    """A file that is sound but not merged yet is no damaged file."""
    with pytest.raises(UnsupportedLayoutError, match=f"shard.ckpt.*{reason}"):
        walk(written(content))


def test_memory_stays_bounded_for_a_file_of_countless_records(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of more records than any checkpoint has is refused, not listed."""
    assert MAX_RECORDS >= 100_000
    monkeypatch.setattr("handlers.ckpt.formats.record.MAX_RECORDS", 10)
    with pytest.raises(DamagedFileError, match="over 10 records"):
        walk(written(b"".join(record(f"p{i}", (1,), "Bool", b"x") for i in range(11))))


def test_a_frame_is_what_protobuf_writes() -> None:
    """A framed record equals one written by hand, also with lengths of several bytes."""
    content = bytes(70_000)
    assert frame("naïve", (350, 100), "Float16", len(content)) + content == record(
        "naïve", (350, 100), "Float16", content
    )


def test_a_text_that_is_there_twice_is_refused(written: Write) -> None:
    """Two records of one name are chunks of a tensor; a text has none, and no dims would tell."""
    text = record("info", (0,), "str", "ab".encode("utf-32-le"))
    with pytest.raises(DamagedFileError, match="info: it is in the file twice"):
        walk(written(text + text))
