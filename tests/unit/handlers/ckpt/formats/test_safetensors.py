"""Promises of handlers.ckpt.formats.safetensors alone, kept with the library that defines the format."""

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from handlers.ckpt import CkptError, DamagedFileError, Entry, Family, Format, walk
from handlers.ckpt.entry import ITEM_SIZES, Extent
from handlers.ckpt.formats.safetensors import MAX_HEADER, MAX_TENSORS, PACKED, header, walk_file
from tests.unit.handlers.ckpt import hostile
from tests.unit.handlers.ckpt.ckpt_writer import Array, Write
from tests.unit.handlers.ckpt.hostile import SAFETENSORS, bit_flips, member

NUMPY = {
    "Bool": "bool",
    "Int8": "int8",
    "UInt8": "uint8",
    "Int16": "int16",
    "UInt16": "uint16",
    "Float16": "float16",
    "Int32": "int32",
    "UInt32": "uint32",
    "Float32": "float32",
    "Int64": "int64",
    "UInt64": "uint64",
    "Float64": "float64",
    "Complex64": "complex64",
}
"""The types that numpy has too."""


def as_entry(name: str, dims: tuple[int, ...], type_name: str) -> Entry:
    """Describe a tensor to be written."""
    elements = 1 if dims == (0,) else int(np.prod(dims))
    return Entry(name, dims, type_name, (Extent(0, elements * ITEM_SIZES[type_name]),))


def encoded(arrays: dict[str, Array]) -> bytes:
    """Encode `arrays` with our header."""
    types = {dtype: type_name for type_name, dtype in NUMPY.items()}
    head, ordered = header(as_entry(name, array.shape, types[array.dtype.name]) for name, array in arrays.items())
    return head + b"".join(arrays[entry.name].tobytes() for entry in ordered)


NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs")), min_size=1, max_size=8
)
ARRAYS = st.dictionaries(
    NAMES,
    st.builds(
        lambda dtype, shape: np.ones(shape, dtype),
        st.sampled_from(list(NUMPY.values())),
        st.lists(st.integers(1, 3), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(arrays=ARRAYS)
def test_a_header_is_what_the_library_writes(arrays: dict[str, Array]) -> None:
    """Byte for byte, the order of the tensors included; MindSpore writes through that library."""
    assert encoded(arrays) == safetensors.numpy.save(arrays, metadata={"format": "ms"})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays=ARRAYS)
def test_what_the_library_writes_is_read(written: Write, arrays: dict[str, Array]) -> None:
    """Names, dims, types and bytes are those that were written."""
    content = safetensors.numpy.save(arrays, metadata={"format": "ms"})
    file = walk(written(content))
    assert file.format is Format.SAFETENSORS
    assert file.entries.keys() == arrays.keys()
    for name, array in arrays.items():
        entry = file.entries[name]
        (extent,) = entry.extents
        assert (entry.dims, NUMPY[entry.type]) == (array.shape, array.dtype.name)
        assert content[extent.offset : extent.offset + extent.length] == array.tobytes()
    offsets = [entry.extents[0].offset for entry in file.entries.values()]
    assert offsets == sorted(offsets)


def test_names_are_escaped_as_the_library_escapes_them() -> None:
    """Quotes, controls, and what is not ASCII."""
    arrays: dict[str, Array] = {name: np.ones(1, "int8") for name in ('a"\\/', "\n\t\x01\x1f\x7f", "é😀\u2028")}
    assert encoded(arrays) == safetensors.numpy.save(arrays, metadata={"format": "ms"})


def test_contents_begin_at_a_multiple_of_eight(written: Write) -> None:
    """And larger elements come first, so that every tensor is aligned to its own."""
    for length in range(1, 20):
        arrays: dict[str, Array] = {"a" * length: np.ones(1, "bool"), "b": np.ones(3, "float32"), "c": np.ones(3)}
        for entry in walk(written(encoded(arrays))).entries.values():
            assert entry.extents[0].offset % ITEM_SIZES[entry.type] == 0


def test_packed_numbers_come_back(written: Write) -> None:
    """Int4 is I8 with a word in the metadata; another I8 beside it stays Int8."""
    head, _ = header([as_entry("q", (2, 3), PACKED), as_entry("w", (2,), "Int8")])
    assert json.loads(head[8:])["__metadata__"] == {"format": "ms", "q": "Int4"}
    file = walk(written(head + bytes(8)))
    assert {entry.name: entry.type for entry in file.entries.values()} == {"q": PACKED, "w": "Int8"}


def test_packed_numbers_of_mindspore_are_read(written: Write) -> None:
    """A file as MindSpore 2.10 wrote it."""
    text = b'{"__metadata__":{"w":"Int4","format":"ms"},"w":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}}       '
    assert walk(written(b"h\0\0\0\0\0\0\0" + text + bytes(6))).entries["w"].type == PACKED


@pytest.mark.parametrize("dims", ((), (0,)))
def test_a_scalar_has_no_dims(written: Write, dims: tuple[int, ...]) -> None:
    """However a `.ckpt` spells it; read back it is one element."""
    head, _ = header([as_entry("scale", dims, "Float32")])
    entry = walk(written(head + bytes(4))).entries["scale"]
    assert (entry.dims, entry.nbytes, entry.family) == ((), 4, Family.SCALARS)


@pytest.mark.parametrize(
    ("metadata", "lacks"),
    (
        (None, False),
        ({}, False),
        ({"format": "pt"}, False),
        ({"format": "ms", "remove_redundancy": "False"}, False),
        ({"format": "ms", "remove_redundancy": "True"}, True),
    ),
)
def test_metadata_says_whether_replicas_are_left_out(
    written: Write, metadata: dict[str, str] | None, *, lacks: bool
) -> None:
    """It is the only mark of a file whose run had remove_redundancy; what is read of it is the same."""
    found = walk(written(safetensors.numpy.save({"w": np.ones(3)}, metadata=metadata)))
    assert (list(found.entries), found.lacks_replicas) == (["w"], lacks)


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (SAFETENSORS + b"x", "at byte [0-9]+: 1 bytes follow the last tensor"),
        (SAFETENSORS[:-1], "its tensors go to byte [0-9]+, but the file ends at [0-9]+: it is cut off"),
        (SAFETENSORS[:100], "its header of [0-9]+ bytes is cut off: the file ends at byte 100"),
        (SAFETENSORS[:8], "is cut off"),
        (b"", "is cut off"),
        (
            hostile.safetensors({"w": member("F16", [3], 0, 4)}, b"xxxx"),
            r"w: it has 4 bytes .* Float16\[3\] is 6 bytes",
        ),
        (hostile.safetensors({"w": member("U8", [1], 1, 2)}, b"xx"), "w: its content, at byte .*leaves a hole behind"),
        (
            hostile.safetensors({"v": member("U8", [2], 0, 2), "w": member("U8", [2], 1, 3)}, b"xxx"),
            "w: its content, at byte .*overlaps the one before",
        ),
        (hostile.safetensors(b'{"w":1,"w":2}', b""), "'w' is in its header twice"),
        (hostile.safetensors(b'{"w":{"dtype":1,"dtype":2}}', b""), "'dtype' is in its header twice"),
    ),
)
def test_damage_is_refused_with_file_place_and_reason(written: Write, content: bytes, reason: str) -> None:
    """The message says what is wrong where."""
    with pytest.raises(DamagedFileError, match=f"shard.ckpt: .*{reason}"):
        walk_file(written(content))


def test_what_is_accepted_the_library_accepts(written: Write) -> None:
    """Over every turned bit of a header, and alike: nothing is read that the library would not read the same."""
    start = int.from_bytes(SAFETENSORS[:8], "little") + 8
    path = written(SAFETENSORS)
    checked = 0
    for damage in bit_flips(SAFETENSORS, 0, start):
        path.write_bytes(damage.content)
        try:
            file = walk_file(path)
        except CkptError:
            continue
        theirs = {name: (list(view["shape"]), bytes(view["data"])) for name, view in deserialize(damage.content)}
        ours = {
            name: (list(e.dims), damage.content[e.extents[0].offset :][: e.nbytes]) for name, e in file.entries.items()
        }
        assert ours == theirs, damage.what
        checked += 1
    assert checked


def test_what_the_library_refuses_is_refused(written: Write) -> None:
    """The corpus of hostile files is hostile to the library too, but for what is stricter here."""
    stricter = set()
    for case in hostile.HOSTILE_SAFETENSORS:
        with pytest.raises(CkptError):
            walk_file(written(case.content))
        try:
            deserialize(case.content)
        except SafetensorError:
            continue
        stricter.add(case.what)
    assert stricter == {
        "nothing in the header",
        "nothing but metadata",
        "a blank before the header",
        "an empty name",
        "a name with an escape sequence",
        "a key too many",
        "an empty tensor",
        "countless dims",
        "perhaps without its replicas",
        "a CRC that is no number",
        "a CRC of 10,000 digits",
        "Int4 of floats",
        "a type from the future",
        "a type of nothing",
    }


def test_a_header_over_the_bound_is_not_read(tmp_path: Path) -> None:
    """Its length is refused before memory is taken for it."""
    path = tmp_path / "shard.safetensors"
    with path.open("wb") as stream:
        stream.write((MAX_HEADER + 1).to_bytes(8, "little") + b"{")
        os.ftruncate(stream.fileno(), 1 << 40)
    tracemalloc.start()
    with pytest.raises(DamagedFileError, match=f"its header claims {MAX_HEADER + 1} bytes"):
        walk(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_countless_tensors_are_refused(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on what JSON holds, so that a header is refused before it grows in memory."""
    assert MAX_TENSORS >= 100_000
    monkeypatch.setattr("handlers.ckpt.formats.safetensors.MAX_NODES", 100)
    with pytest.raises(DamagedFileError, match="over 100 values"):
        walk(written(encoded({f"p{i}": np.ones(1) for i in range(40)})))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists))
def test_any_json_is_refused_by_our_own_error(written: Write, text: object) -> None:
    """No kind of value, anywhere in a description, escapes as another error."""
    good = member("U8", [1], 0, 1)
    for described in (text, {**good, "dtype": text}, {**good, "shape": text}, {**good, "data_offsets": text}):
        with pytest.raises(CkptError, match=r"shard\.ckpt"):
            walk_file(written(hostile.safetensors({"w": described}, b"xx")))
    with pytest.raises(CkptError, match=r"shard\.ckpt"):
        walk_file(written(hostile.safetensors({"__metadata__": {"crc_num": text}, "w": good}, b"xx")))


@pytest.mark.parametrize("name", ("format", "remove_redundancy", "crc_num"))
def test_a_parameter_may_be_called_as_a_key_of_the_metadata(written: Write, name: str) -> None:
    """What the metadata says there is of the file, not the parameter's type."""
    metadata = {"format": "ms", "remove_redundancy": "False", "crc_num": "1"}
    members = {"__metadata__": metadata, name: {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    text = json.dumps(members).encode()
    file = walk(written(len(text).to_bytes(8, "little") + text + b"x"))
    assert file.entries[name].type == "UInt8"
