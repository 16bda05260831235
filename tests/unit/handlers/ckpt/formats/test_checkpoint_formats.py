"""What every format of checkpoint files keeps: handlers.ckpt.formats.CheckpointFormat says it."""

import os
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import CkptError, DamagedFileError, Format, InconsistentError, UnsupportedLayoutError, walk
from handlers.ckpt.entry import ITEM_SIZES, TEXT, CkptFile, Entry, Extent, element_count, shape
from handlers.ckpt.formats import SNIFFED, CheckpointFormat, NewFile
from handlers.ckpt.formats.known import FORMATS
from tests.unit.handlers.ckpt.ckpt_writer import Write, record
from tests.unit.handlers.ckpt.hostile import CKPT, RECORDS, SAFETENSORS, member, safetensors

SAMPLES = {Format.CKPT: CKPT, Format.SAFETENSORS: SAFETENSORS}
"""Whole files, written by hand."""
UNKNOWN = {
    Format.CKPT: record("w", (1,), "Float4", b"x"),
    Format.SAFETENSORS: safetensors({"w": member("F4", [1], 0, 1)}, b"x"),
}
"""Sound files of a type that is not known yet."""
LACKING = {Format.CKPT: set[str](), Format.SAFETENSORS: {TEXT, "HiFloat8", "Complex128"}}
"""The types of MindSpore that cannot be written."""
LOOKS_WHOLE = {Format.CKPT: set(accumulate(map(len, RECORDS))) - {len(RECORDS[0] + RECORDS[1])}}
"""Where a cut file looks whole: between two tensors; not between two chunks of one."""
PIECE = 100
"""Bytes to which tensors are cut here, where a format cuts."""

every_format = pytest.mark.parametrize("name", FORMATS)


def tensor(name: str, dims: tuple[int, ...], type_: str, length: int = 3) -> Entry:
    """Describe a tensor; a text has `length` characters."""
    elements = length if type_ == TEXT else element_count(dims)
    return Entry(name, dims, type_, (Extent(0, elements * ITEM_SIZES[type_]),))


def content_of(entry: Entry) -> bytes:
    """Make up the bytes of a tensor: other ones for each name."""
    return bytes((at + sum(entry.name.encode())) % 251 for at in range(entry.nbytes))


def filled(file: NewFile[Entry]) -> bytes:
    """Return a file as it is laid out; fail where two things go to one place, or nothing does."""
    pieces = {0: file.preamble} if file.preamble else {}
    for placed in file.placed:
        content, at = content_of(placed.parameter), 0
        for head, extent in zip(placed.heads or (b"",), placed.extents, strict=True):
            pieces.setdefault(extent.offset - len(head), b"")
            pieces[extent.offset - len(head)] += head + content[at : at + extent.length]
            at += extent.length
        assert at == len(content)
    for at, end in zip(pieces, accumulate(map(len, pieces.values())), strict=True):
        assert at + len(pieces[at]) == end
    assert sum(map(len, pieces.values())) == file.size
    return b"".join(pieces.values())


def held(file: CkptFile, content: bytes) -> dict[str, tuple[tuple[int, ...], str, bytes]]:
    """Return what a walked file holds: shapes, types and bytes by name."""
    return {
        name: (
            shape(entry.dims),
            entry.type,
            b"".join(content[extent.offset :][: extent.length] for extent in entry.extents),
        )
        for name, entry in file.entries.items()
    }


def come_back(known: CheckpointFormat, tensors: list[Entry], path: Path, *, equal_chunks: bool = False) -> CkptFile:
    """Write what is laid out, and fail unless all of it is found again; return the file."""
    file = known.place(path.name, tensors, equal_chunks=equal_chunks)
    path.write_bytes(filled(file))
    found = known.walk_file(path)
    assert held(found, path.read_bytes()) == {
        entry.name: (shape(entry.dims), entry.type, content_of(entry)) for entry in tensors
    }
    assert [placed.parameter.name for placed in file.placed] == list(found.entries)
    return found


def types(name: Format) -> list[str]:
    """Return the types that a format has."""
    return [type_ for type_ in ITEM_SIZES if type_ not in LACKING[name]]


@st.composite
def files(draw: st.DrawFn) -> tuple[Format, list[Entry]]:
    """Draw a format, and tensors for it: of every type and shape, scalars and tensors without elements among them."""
    name = draw(st.sampled_from(list(FORMATS)))
    shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
    names = draw(st.lists(st.from_regex(r"[a-zé.]{1,9}", fullmatch=True), min_size=1, max_size=6, unique=True))
    tensors = []
    for each in names:
        type_ = draw(st.sampled_from(types(name)))
        tensors.append(tensor(each, (0,) if type_ == TEXT else draw(shapes), type_, draw(st.integers(1, 9))))
    return name, tensors


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=files(), equal_chunks=st.booleans())
def test_what_is_laid_out_comes_back(tmp_path: Path, case: tuple[Format, list[Entry]], *, equal_chunks: bool) -> None:
    """Names, shapes, types and every byte, in their order; and the file is told by its content."""
    name, tensors = case
    path = tmp_path / "shard"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("handlers.ckpt.formats.record.CHUNK", PIECE)
        found = come_back(FORMATS[name], tensors, path, equal_chunks=equal_chunks)
    assert found.format is name
    assert walk(path) == found


@every_format
@pytest.mark.parametrize("type_", ITEM_SIZES)
def test_every_type_comes_back_or_is_refused_by_name(tmp_path: Path, name: Format, type_: str) -> None:
    """MindSpore refuses the same ones, less clearly."""
    entry = tensor("note", (0,) if type_ == TEXT else (2, 3), type_)
    if type_ in LACKING[name]:
        with pytest.raises(UnsupportedLayoutError, match=f"note: {name} has no dtype for {type_}; write a .ckpt"):
            FORMATS[name].place("shard", [entry], equal_chunks=False)
    else:
        come_back(FORMATS[name], [entry], tmp_path / "shard")


@every_format
def test_no_tensor_is_read(tmp_path: Path, name: Format) -> None:
    """A terabyte in one tensor is walked at once, and where its bytes are is told."""
    entry = Entry("huge", (1 << 39,), "Float16", (Extent(0, 1 << 40),))
    file = FORMATS[name].place("shard", [entry], equal_chunks=False)
    (placed,) = file.placed
    path = tmp_path / "shard"
    with path.open("wb") as stream:
        stream.write(file.preamble)
        for head, extent in zip(placed.heads, placed.extents, strict=bool(placed.heads)):
            stream.seek(extent.offset - len(head))
            stream.write(head)
        os.ftruncate(stream.fileno(), file.size)
    assert FORMATS[name].walk_file(path).entries["huge"].extents == placed.extents


@every_format
def test_a_cut_file_is_refused(written: Write, name: Format) -> None:
    """Behind whatever byte, by its name; where it looks whole it has the tensors before the cut, each of them whole."""
    content = SAMPLES[name]
    whole = held(FORMATS[name].walk_file(written(content)), content)
    looked_whole = set()
    for cut in range(1, len(content)):
        path = written(content[:cut])
        try:
            found = held(FORMATS[name].walk_file(path), content)
        except DamagedFileError as error:
            assert path.name in str(error)  # noqa: PT017 - either outcome may be right
        else:
            looked_whole.add(cut)
            assert found == dict(list(whole.items())[: len(found)])
    assert looked_whole == LOOKS_WHOLE.get(name, set()) - {len(content)}
    with pytest.raises(DamagedFileError):
        FORMATS[name].walk_file(written(b""))


@every_format
def test_a_type_of_the_future_is_no_damage(written: Write, name: Format) -> None:
    """The file is sound: it is said which tensor glmd does not know how to merge."""
    with pytest.raises(UnsupportedLayoutError, match=r"shard\.ckpt.* w: .*'F(loat)?4' is not one that glmd knows"):
        FORMATS[name].walk_file(written(UNKNOWN[name]))


@every_format
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_file_holds_our_own_error_names_it(written: Write, name: Format, data: st.DataObject) -> None:
    """Bytes that were turned, or any at all: walked, with no more in it than the file has, or refused."""
    content = bytearray(SAMPLES[name])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=4)):
        content[at] = value
    for each in (bytes(content), data.draw(st.binary(max_size=200))):
        try:
            file = FORMATS[name].walk_file(written(each))
        except CkptError as error:
            assert "shard.ckpt" in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert sum(entry.nbytes for entry in file.entries.values()) < len(each)


@every_format
def test_a_file_that_changes_meanwhile_is_refused(
    written: Write, monkeypatch: pytest.MonkeyPatch, name: Format
) -> None:
    """A training that still writes it shows in its size and times."""
    path, real = written(SAMPLES[name]), os.pread

    def growing(descriptor: int, length: int, offset: int) -> bytes:
        with path.open("ab") as stream:
            stream.write(b"x")
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", growing)
    with pytest.raises(InconsistentError, match="changed while it was read"):
        FORMATS[name].walk_file(path)


@every_format
def test_a_missing_file_is_an_os_error(tmp_path: Path, name: Format) -> None:
    """As for any open."""
    with pytest.raises(FileNotFoundError):
        FORMATS[name].walk_file(tmp_path / "shard.ckpt")


@every_format
def test_no_descriptor_is_left_open(written: Write, name: Format) -> None:
    """Neither after success nor after a refusal."""
    good, bad = written(SAMPLES[name], "good"), written(SAMPLES[name][:-1], "bad")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
    FORMATS[name].walk_file(good)
    with pytest.raises(DamagedFileError):
        FORMATS[name].walk_file(bad)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@every_format
def test_a_whole_file_is_claimed_by_its_own_format(name: Format) -> None:
    """Which alone reads it."""
    assert [each for each, known in FORMATS.items() if known.begins(SAMPLES[name][:SNIFFED])] == [name]


@settings(max_examples=300, deadline=None)
@given(first=st.binary(max_size=SNIFFED) | st.integers(0, (1 << 32) - 1).map(lambda n: n.to_bytes(8, "little") + b"{"))
def test_no_two_formats_claim_a_file(first: bytes) -> None:
    """Whatever it begins with, the length of a safetensors header among them, which may be that of a record."""
    assert sum(known.begins(first) for known in FORMATS.values()) <= 1


@pytest.mark.parametrize("lowest", range(256))
def test_a_safetensors_is_one_whatever_its_headers_length(lowest: int) -> None:
    """Not every program pads it: its first byte may be what records begin with, or strategy files."""
    claims = [name for name, known in FORMATS.items() if known.begins(bytes([lowest, 1]) + bytes(6) + b"{")]
    assert claims == [Format.SAFETENSORS]
