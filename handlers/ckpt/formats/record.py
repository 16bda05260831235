"""A `.ckpt` file: its records found without reading its tensors, and new records framed as MindSpore frames them.

The format, of mindspore/core/proto/checkpoint.proto; the file is these messages one after the other:

    Checkpoint  { repeated Value value = 1 }
    Value       { required string tag = 1; TensorProto tensor = 2; MapTensorProto maptensor = 3 }
    TensorProto { repeated int64 dims = 1; required string tensor_type = 2; required bytes tensor_content = 3 }

A serializer writes fields by number, so that all but the content stands in the first bytes of a record: one small pread
a record is enough. Nothing is mapped: read-ahead would fetch the tensors after all.

A scalar has dims [0] in files of MindSpore 2.0, and none in those of 2.10. `crc_check=True` puts b"crc_num" and ten
bytes, a big-endian number, behind the last record; see handlers.ckpt.formats.crc.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import ITEM_SIZES, MAX_DIMS, TEXT, CkptFile, Entry, Extent, element_count
from handlers.ckpt.errors import DamagedFileError, UnsupportedLayoutError
from handlers.ckpt.files.opening import opened
from handlers.ckpt.formats import NewFile, Placed, Tensor
from handlers.ckpt.formats.wire import PastEndError, WireError, read_varint, signed, varint

WINDOW = 1024
"""Bytes read of each record. Real headers take about a hundred."""
MAX_RECORDS = 1 << 18
"""Real files have thousands. The two bounds keep a hostile file from filling the memory."""
TRAILER = b"crc_num"
TRAILER_SIZE = len(TRAILER) + 10
CIPHER_MAGICS = (b"\xd8\x5e\x3a\x7f", b"\xd9\x5e\x3a\x7f", b"\xda\x5e\x3a\x7f")
"""Of an encrypted file, by mode: AES-GCM, AES-CBC, SM4-CBC."""
CHUNK = 512 << 20
"""Bytes. `save_checkpoint` cuts larger tensors into consecutive records (SLICE_SIZE, 512 * 1024 KiB)."""

_VALUE, _TAG, _TENSOR, _TYPE, _CONTENT = 0x0A, 0x0A, 0x12, 0x12, 0x1A  # keys: number << 3 | wire type
_MAP_TENSOR = 0x1A


@dataclass(frozen=True, slots=True)
class _Record:
    """One record's header; offsets count from the record's first byte."""

    tag: str
    dims: tuple[int, ...]
    type: str
    content: int
    end: int


def begins(first: bytes) -> bool:
    """Tell a `.ckpt` by its first bytes; an encrypted one is one, too. See CheckpointFormat."""
    # Where a name would be, which holds no NULs, a safetensors has four of them; its first byte may be any.
    return (first[:1] == bytes([_VALUE]) and first[4:8] != bytes(4)) or first.startswith(CIPHER_MAGICS)


def walk_file(path: Path) -> CkptFile:
    """Find every entry of a `.ckpt`, as CheckpointFormat says. A scalar has whatever dims were written.

    UnsupportedLayoutError is for encrypted files, map parameters and unknown types.
    """
    with opened(path) as (descriptor, fingerprint):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        crc = _trailer(descriptor, fingerprint.size)
        end = fingerprint.size if crc is None else fingerprint.size - TRAILER_SIZE
        entries = _entries(descriptor, end, path)
    return CkptFile(path, fingerprint, entries, crc=crc)


def _trailer(descriptor: int, size: int) -> int | None:
    """Return the CRC at the file's end, recognized as MindSpore recognizes it."""
    if size < TRAILER_SIZE:
        return None
    trailer = os.pread(descriptor, TRAILER_SIZE, size - TRAILER_SIZE)
    return int.from_bytes(trailer[len(TRAILER) :], "big") if trailer.startswith(TRAILER) else None


def _entries(descriptor: int, size: int, path: Path) -> dict[str, Entry]:
    """Walk the records in the file's first `size` bytes."""
    entries: dict[str, Entry] = {}
    offset = 0
    last = ""
    extents: list[Extent] = []
    for _ in range(MAX_RECORDS):
        if offset == size:
            break
        record = _record_at(descriptor, offset, size, path, last)
        extent = Extent(offset + record.content, record.end - record.content)
        if entries and record.tag == last:
            if (record.dims, record.type) != (entries[last].dims, entries[last].type):
                raise DamagedFileError(
                    f"{path}: at byte {offset}: {last}: a chunk says {record.type}{list(record.dims)}, "
                    f"the one before {entries[last].type}{list(entries[last].dims)}"
                )
            extents.append(extent)
        else:
            _close(entries, last, extents, path)
            if record.tag in entries:
                raise DamagedFileError(f"{path}: at byte {offset}: {record.tag}: it is in the file twice")
            extents = [extent]
            entries[record.tag] = Entry(record.tag, record.dims, record.type, ())
        last = record.tag
        offset += record.end
    else:
        raise DamagedFileError(
            f"{path}: at byte {offset}: {last}: over {MAX_RECORDS} records; no checkpoint has as many"
        )
    _close(entries, last, extents, path)
    if not entries:
        raise DamagedFileError(f"{path} holds no record")
    return entries


def _close(entries: dict[str, Entry], name: str, extents: Sequence[Extent], path: Path) -> None:
    """Give entry `name` its extents, and check that they hold exactly what its dims say."""
    if not extents:
        return
    draft = entries[name]
    entry = Entry(name, draft.dims, draft.type, tuple(extents))
    item_size = ITEM_SIZES[entry.type]
    expected = element_count(entry.dims) * item_size
    if entry.type == TEXT:
        if entry.dims != (0,):
            raise DamagedFileError(f"{path}: at byte {extents[0].offset}: {name}: a text with dims {list(entry.dims)}")
        if len(extents) > 1:  # texts are not cut into chunks, and no dims would tell
            raise DamagedFileError(f"{path}: at byte {extents[1].offset}: {name}: it is in the file twice")
        expected = max(1, entry.nbytes // item_size) * item_size
    if entry.nbytes != expected:
        raise DamagedFileError(
            f"{path}: at byte {extents[0].offset}: {name}: {entry.nbytes} bytes of content in {len(extents)} records, "
            f"but {entry.type}{list(entry.dims)} is {expected} bytes; "
            f"{'the file is cut off between two chunks' if entry.nbytes < expected else 'the file is damaged'}"
        )
    entries[name] = entry


def _record_at(descriptor: int, offset: int, size: int, path: Path, last: str) -> _Record:
    """Read the header of the record at `offset`, and check that the record ends within the file."""
    window = os.pread(descriptor, min(WINDOW, size - offset), offset)
    behind = f", behind {last}" if last else ""
    try:
        record = _parse(window)
    except UnsupportedLayoutError as error:
        raise UnsupportedLayoutError(f"{path}: at byte {offset}: {error}", Code.UNSUPPORTED_FORM) from error
    except PastEndError as error:
        if offset + len(window) < size:
            reason = f"a record's header is over {WINDOW} bytes"
        else:
            reason = f"the file ends inside a record's header ({error.reason}): it is cut off"
        raise DamagedFileError(f"{path}: at byte {offset}{behind}: {reason}") from error
    except WireError as error:
        if not offset and window.startswith(CIPHER_MAGICS):
            raise UnsupportedLayoutError(
                f"{path} is encrypted (enc_key); save it without a key", Code.UNSUPPORTED_FORM
            ) from error
        reason = "its CRC trailer is cut off" if window.startswith(TRAILER[: len(window)]) else error.reason
        raise DamagedFileError(f"{path}: at byte {offset + error.offset}{behind}: {reason}") from error
    if record.type not in ITEM_SIZES:
        raise UnsupportedLayoutError(
            f"{path}: at byte {offset}: {record.tag}: tensor type {record.type[:40]!r} is not one that glmd knows",
            Code.UNSUPPORTED_FORM,
        )
    if offset + record.end > size:
        raise DamagedFileError(
            f"{path}: at byte {offset}: {record.tag}: the record goes to byte {offset + record.end}, "
            f"but the file ends at {size}: it is cut off"
        )
    return record


def _parse(window: bytes) -> _Record:
    """Parse a record's header out of its first bytes; the content may lie beyond them."""
    at, value_end = _open(window, 0, _VALUE, None, "a record")
    at, tag_end = _open(window, at, _TAG, value_end, "a tag")
    tag = _text(window, at, tag_end, "tag")
    if window[tag_end : tag_end + 1] == bytes([_MAP_TENSOR]):
        raise UnsupportedLayoutError(
            f"{tag} is a map parameter (a hash table); glmd merges tensors", Code.UNSUPPORTED_FORM
        )
    at, tensor_end = _open(window, tag_end, _TENSOR, value_end, "a tensor")
    if tensor_end != value_end:
        raise WireError(at, f"{tag}: its tensor ends at {tensor_end}, the record at {value_end}")
    dims: list[int] = []
    while window[at : at + 1] in {b"\x08", b"\x0a"}:
        at = _dims(window, at, tensor_end, dims)
        if len(dims) > MAX_DIMS or min(dims, default=0) < 0:
            raise WireError(at, f"{tag}: dims {dims[: MAX_DIMS + 1]} are impossible")
    at, type_end = _open(window, at, _TYPE, tensor_end, "a tensor type")
    type_ = _text(window, at, type_end, "tensor type")
    at, content_end = _open(window, type_end, _CONTENT, tensor_end, "a tensor's content")
    if content_end != tensor_end:
        raise WireError(at, f"{tag}: its content ends at {content_end}, its tensor at {tensor_end}")
    return _Record(tag, tuple(dims), type_, at, content_end)


def _open(window: bytes, at: int, key: int, end: int | None, what: str) -> tuple[int, int]:
    """Read the key and the length of a field; return where its bytes start and end."""
    if at >= len(window):
        raise PastEndError(at, f"{what} is missing")
    if window[at] != key:
        raise WireError(at, f"no {what.removeprefix('a ')} begins here (byte {window[at]:#04x} instead of {key:#04x})")
    length, start = read_varint(window, at + 1, len(window))
    if end is not None and start + length > end:
        raise WireError(at, f"{what} claims {length} bytes where {end - start} are left")
    return start, start + length


def _text(window: bytes, start: int, end: int, what: str) -> str:
    if end > len(window):
        raise PastEndError(start, f"a {what} of {end - start} bytes")
    try:
        text = window[start:end].decode()
    except UnicodeDecodeError as error:
        raise WireError(start + error.start, f"a {what} is not UTF-8") from error
    if not text or not text.isprintable():
        raise WireError(start, f"a {what} is no name: {text[:200]!r}")
    return text


def _dims(window: bytes, at: int, end: int, dims: list[int]) -> int:
    """Append the dimension at `at`, or several when they are packed; return the offset behind."""
    if window[at] == 0x08:
        value, behind = read_varint(window, at + 1, len(window))
        if behind > end:
            raise WireError(at, "a dimension goes past the end of its tensor")
        dims.append(signed(value))
        return behind
    start, packed_end = _open(window, at, 0x0A, end, "a list of dims")
    if packed_end > len(window):
        raise PastEndError(start, "a list of dims is cut off")
    at = start
    while at < packed_end:
        value, at = read_varint(window, at, packed_end)
        dims.append(signed(value))
    return packed_end


def place(name: str, tensors: Iterable[Tensor], *, equal_chunks: bool) -> NewFile[Tensor]:
    """Lay out a `.ckpt`, as CheckpointFormat says: the tensors in their order, each a record or consecutive ones."""
    placed, offset = [], 0
    for tensor in tensors:
        heads, extents = [], []
        cut = _equal_chunks(tensor.nbytes, ITEM_SIZES[tensor.type]) if equal_chunks else _full_chunks(tensor.nbytes)
        for length in cut:
            head = frame(tensor.name, tensor.dims, tensor.type, length)
            heads.append(head)
            extents.append(Extent(offset + len(head), length))
            offset += len(head) + length
        placed.append(Placed(tensor, tuple(heads), tuple(extents)))
    return NewFile(name, b"", tuple(placed), offset)


def _full_chunks(nbytes: int) -> Iterator[int]:
    """Yield the bytes of each chunk as newer versions of MindSpore cut: the last one takes what is left."""
    for start in range(0, max(1, nbytes), CHUNK):
        yield min(CHUNK, nbytes - start)


def _equal_chunks(nbytes: int, item_size: int) -> Iterator[int]:
    """Yield the bytes of each chunk, as numpy.array_split cuts: equal, the first ones an element longer."""
    count = max(1, -(-nbytes // CHUNK))
    elements, longer = divmod(nbytes // item_size, count)
    for index in range(count):
        yield (elements + (index < longer)) * item_size


def frame(name: str, dims: Sequence[int], type_: str, length: int) -> bytes:
    """Return what stands before `length` bytes of content in a record, as protobuf serializes it."""
    tensor = b"".join(b"\x08" + varint(dim) for dim in dims)
    tensor += _field(_TYPE, type_.encode()) + bytes([_CONTENT]) + varint(length)
    value = _field(_TAG, name.encode()) + bytes([_TENSOR]) + varint(len(tensor) + length) + tensor
    return bytes([_VALUE]) + varint(len(value) + length) + value


def _field(key: int, content: bytes) -> bytes:
    return bytes([key]) + varint(len(content)) + content
