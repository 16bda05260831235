"""A safetensors file: its header read and checked, and the header of a new one.

The format, of github.com/huggingface/safetensors: eight bytes with the header's length, little endian; the header, in
JSON and padded with spaces to a multiple of eight; the tensors' bytes, without a hole.

    {"__metadata__": {"format": "ms"}, NAME: {"dtype": "F16", "shape": [2, 3], "data_offsets": [BEGIN, END]}, …}

MindSpore's `save_checkpoint(format="safetensors")` (2.10 was read) may add to the metadata: "remove_redundancy": "True"
where replicas were left out; "crc_num" (see handlers.ckpt.formats.crc); and NAME: "Int4" where a tensor's dtype says
I8, but each of its bytes is two numbers.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import ITEM_SIZES, MAX_DIMS, REDUNDANCY, CkptFile, Entry, Extent, Format, shape
from handlers.ckpt.errors import DamagedFileError, UnsupportedLayoutError
from handlers.ckpt.files.opening import opened
from handlers.ckpt.formats import SNIFFED, Described, NewFile, Placed, Tensor

MAX_HEADER = 32 << 20
"""Bytes. The library refuses over 100 MB; GLM-6B's, optimizer state included, has 0.13 MB."""
MAX_TENSORS = 1 << 18
MAX_NODES = 8 * MAX_TENSORS
"""Opening brackets and commas: eight are a matrix. Each becomes an object of up to 90 bytes: 32 MiB might be a GiB."""

TYPES = {
    "U64": "UInt64",
    "I64": "Int64",
    "F64": "Float64",
    "C64": "Complex64",
    "F32": "Float32",
    "U32": "UInt32",
    "I32": "Int32",
    "BF16": "BFloat16",
    "F16": "Float16",
    "U16": "UInt16",
    "I16": "Int16",
    "F8_E4M3": "Float8E4M3FN",
    "F8_E5M2": "Float8E5M2",
    "I8": "Int8",
    "U8": "UInt8",
    "BOOL": "Bool",
}
"""MindSpore's name of each dtype, in the order in which the library lays tensors out (by name within a dtype)."""
PACKED = "Int4"
"""The type that only the metadata tells from Int8."""
_DTYPES = {type_: dtype for dtype, type_ in TYPES.items()} | {PACKED: "I8"}
_ORDER = {dtype: order for order, dtype in enumerate(TYPES)}
_METADATA = "__metadata__"
_OF_THE_FILE = {"format", REDUNDANCY, "crc_num"}
"""Keys of the metadata that are no tensors' names, not even where a tensor has the same one."""


MINDSPORE, TORCH = {"format": "ms"}, {"format": "pt"}
"""What the metadata says of who wrote a file; transformers loads none that says nothing, or another one's."""


class _HeaderError(ValueError):
    """The header is not what the format says; the text says how."""


def begins(first: bytes) -> bool:
    """Tell a safetensors file by its first bytes; see CheckpointFormat."""
    # A header is under 4 GiB, and a JSON object; NULs are in no parameter's name.
    return first[4:SNIFFED] == b"\0\0\0\0{"


def walk_file(path: Path) -> CkptFile:
    """Find every tensor of a safetensors file, in the file's order, as CheckpointFormat says. A scalar has dims ().

    UnsupportedLayoutError is for dtypes that MindSpore has not, and for shape [0], which a `.ckpt` would take for a
    scalar's.
    """
    with opened(path) as (descriptor, fingerprint):
        try:
            text, start = _header_text(descriptor, fingerprint.size)
            members = _parse(text)
            metadata = _metadata(members.pop(_METADATA, {}))
            entries = _entries(members, metadata, start, fingerprint.size)
            crc = _crc(metadata)
        except _HeaderError as error:
            raise DamagedFileError(f"{path}: {error}") from error
        except UnsupportedLayoutError as error:
            raise UnsupportedLayoutError(f"{path}: {error}", Code.UNSUPPORTED_FORM) from error
    return CkptFile(path, fingerprint, entries, Format.SAFETENSORS, crc, metadata)


def _header_text(descriptor: int, size: int) -> tuple[bytes, int]:
    """Return the header, and where the tensors' bytes start."""
    prefix = os.pread(descriptor, 8, 0)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > size - 8:
        raise _HeaderError(f"its header of {length} bytes is cut off: the file ends at byte {size}")
    if length > MAX_HEADER:
        raise _HeaderError(f"its header claims {length} bytes, over {MAX_HEADER}; no checkpoint's has as many")
    return os.pread(descriptor, length, 8), 8 + length


def _parse(text: bytes) -> dict[str, object]:
    """Parse the header's JSON, within bounds of memory and depth."""
    if text[:1] != b"{":
        raise _HeaderError("at byte 8: its header is no JSON object")
    if sum(map(text.count, (b"{", b"[", b","))) > MAX_NODES:
        raise _HeaderError(f"its header has over {MAX_NODES} values; no checkpoint's has as many")
    try:
        members: dict[str, object] = json.loads(text.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise _HeaderError(f"at byte {8 + error.start}: its header is not UTF-8") from error
    except RecursionError as error:
        raise _HeaderError("its header is nested too deeply") from error
    except _HeaderError:
        raise
    except ValueError as error:  # what JSON says, and numbers of thousands of digits
        raise _HeaderError(f"its header is no JSON: {error}") from error
    return members


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a JSON object's members a dict; JSON itself would let the last of two win."""
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise _HeaderError(f"{key[:200]!r} is in its header twice")
        members[key] = value
    return members


def _metadata(value: object) -> dict[str, str]:
    """Check what the file says about itself as a whole."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise _HeaderError(f"{_METADATA} maps not only names to texts")
    redundancy = value.get(REDUNDANCY, "False")
    if redundancy not in {"True", "False"}:
        raise _HeaderError(f"its metadata says remove_redundancy: {redundancy[:20]!r}, neither True nor False")
    return value


def _crc(metadata: Mapping[str, str]) -> int | None:
    text = metadata.get("crc_num")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise _HeaderError(f"its metadata says crc_num: {text[:20]!r}, which is no CRC32")
    return int(text)


def _entries(members: Mapping[str, object], metadata: Mapping[str, str], start: int, size: int) -> dict[str, Entry]:
    """Check that the tensors fill the file to its end, without overlap or hole."""
    if not members:
        raise _HeaderError("it holds no tensor")
    lost = next((key for key, text in metadata.items() if text == PACKED and key not in members), None)
    if lost is not None:
        raise _HeaderError(f"its metadata gives a type to {lost[:200]!r}, which it does not hold")
    types = {key: text for key, text in metadata.items() if key not in _OF_THE_FILE}  # else they are tensors' names
    drafts = [_entry(name, described, types.get(name), start) for name, described in members.items()]
    drafts.sort(key=lambda entry: (entry.extents[0].offset, entry.extents[0].length))
    at = start
    for entry in drafts:
        extent = entry.extents[0]
        if extent.offset != at:
            wrong = "overlaps the one before" if extent.offset < at else "leaves a hole behind the one before"
            raise _HeaderError(f"{entry.name}: its content, at byte {extent.offset}, {wrong}, which ends at {at}")
        at += extent.length
    if at > size:
        raise _HeaderError(f"its tensors go to byte {at}, but the file ends at {size}: it is cut off")
    if at < size:
        raise _HeaderError(f"at byte {at}: {size - at} bytes follow the last tensor")
    return {entry.name: entry for entry in drafts}


def _entry(name: str, described: object, packed: str | None, start: int) -> Entry:
    """Check one tensor's description by itself."""
    if not name or not name.isprintable():
        raise _HeaderError(f"{name[:200]!r} is no parameter's name")
    if not isinstance(described, dict) or described.keys() != {"dtype", "shape", "data_offsets"}:
        raise _HeaderError(f"{name}: it has not just dtype, shape and data_offsets")
    dtype, dims, offsets = described["dtype"], _numbers(described["shape"]), _numbers(described["data_offsets"])
    if not isinstance(dtype, str) or dims is None or offsets is None or len(offsets) != 2 or len(dims) > MAX_DIMS:
        raise _HeaderError(f"{name}: its dtype, shape or data_offsets are impossible")
    if dtype not in TYPES or packed not in {None, PACKED}:
        raise UnsupportedLayoutError(
            f"{name}: its dtype {(packed or dtype)[:40]!r} is not one that glmd knows", Code.UNSUPPORTED_FORM
        )
    if packed and dtype != _DTYPES[PACKED]:
        raise _HeaderError(f"{name}: its metadata says {packed}, its dtype {dtype}")
    if dims == (0,):  # which is how a .ckpt has a scalar
        raise UnsupportedLayoutError(
            f"{name}: it is empty (shape [0]); glmd merges tensors with elements", Code.UNSUPPORTED_FORM
        )
    type_, (begin, end) = packed or TYPES[dtype], offsets
    if end - begin != math.prod(dims) * ITEM_SIZES[type_]:
        raise _HeaderError(
            f"{name}: it has {end - begin} bytes of content, "
            f"but {type_}{list(dims)} is {math.prod(dims) * ITEM_SIZES[type_]} bytes"
        )
    return Entry(name, dims, type_, (Extent(start + begin, end - begin),))


def _numbers(value: object) -> tuple[int, ...] | None:
    """Return a JSON array of numbers of 0 and more; None where it is something else."""
    if not isinstance(value, list) or not all(type(number) is int and 0 <= number < 1 << 63 for number in value):
        return None
    return tuple(value)


def place(
    name: str, tensors: Iterable[Tensor], *, equal_chunks: bool, metadata: Mapping[str, str] = MINDSPORE
) -> NewFile[Tensor]:
    """Lay out a file, as CheckpointFormat says: in the order that the library gives them, each in one piece.

    `metadata` is as for `header`, and so is UnsupportedLayoutError.
    """
    del equal_chunks
    preamble, ordered = header(tensors, metadata)
    placed, offset = [], len(preamble)
    for tensor in ordered:
        placed.append(Placed(tensor, (), (Extent(offset, tensor.nbytes),)))
        offset += tensor.nbytes
    return NewFile(name, preamble, tuple(placed), offset)


def header(tensors: Iterable[Tensor], metadata: Mapping[str, str] = MINDSPORE) -> tuple[bytes, list[Tensor]]:
    """Return what stands before the tensors in a new file, and the tensors in the order in which their bytes follow.

    With the `metadata` of a framework the file is then, byte for byte, what that writes through the library. Raises
    UnsupportedLayoutError for types that the format has not, texts among them, as MindSpore does.
    """
    ordered = in_order(tensors)
    packed = {tensor.name: PACKED for tensor in ordered if tensor.type == PACKED}
    members: dict[str, object] = {_METADATA: {**metadata, **packed}}
    at = 0
    for tensor in ordered:
        end = at + tensor.nbytes
        members[tensor.name] = {"dtype": _dtype(tensor), "shape": shape(tensor.dims), "data_offsets": (at, end)}
        at = end
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, ordered


def in_order(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return tensors as the library orders them: by dtype, then by name. UnsupportedLayoutError is as for `header`."""
    return sorted(tensors, key=lambda tensor: (_ORDER[_dtype(tensor)], tensor.name))


def _dtype(tensor: Described) -> str:
    """Return the dtype to write for a tensor."""
    dtype = _DTYPES.get(tensor.type)
    if dtype is None:
        raise UnsupportedLayoutError(
            f"{tensor.name}: safetensors has no dtype for {tensor.type}; write a .ckpt, or leave its family out (keep)",
            Code.UNSUPPORTED_FORM,
        )
    return dtype
