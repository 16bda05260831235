"""Whole files of every format, and what may happen to them: cut, a bit turned, garbage behind, made to hurt.

Written by hand; shares nothing with what glmd reads them with.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.unit.handlers.ckpt.ckpt_writer import Lay, blob, number, record, strategy, varint

BIG = 40
"""Bytes of a sample's contents."""


def with_crc(records: bytes) -> bytes:
    """Append what `crc_check=True` does."""
    return records + b"crc_num" + zlib.crc32(records).to_bytes(10, "big")


def safetensors(members: object, content: bytes) -> bytes:
    """Encode a file with `members` as its header, sound or not."""
    text = members if isinstance(members, bytes) else json.dumps(members, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content


def member(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    """Describe a tensor in a safetensors header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


RECORDS = (
    record("a.weight", (4, 5), "Float16", b"\x01" * BIG),
    record("big", (15,), "Int32", b"\x02" * BIG),
    record("big", (15,), "Int32", b"\x03" * 20),
    record("b.weight", (2, 10), "BFloat16", b"\x04" * BIG),
    record("note", (0,), "str", "hi".encode("utf-32-le")),
    record("loss_scale", (), "Float32", b"\x05" * 4),
    record("step_num", (0,), "Int64", b"\x06" * 8),
    record("global_step", (1,), "Int32", b"\x07" * 4),
    record("adam_m.a.weight", (4, 5), "Float16", b"\x08" * BIG),
)
CKPT = b"".join(RECORDS)
CKPT_WITH_CRC = with_crc(CKPT)
SAFETENSORS_METADATA = {"format": "ms", "remove_redundancy": "False", "q": "Int4"}
SAFETENSORS = safetensors(
    {
        "__metadata__": SAFETENSORS_METADATA,
        "step_num": member("I64", [], 0, 8),
        "a.weight": member("F16", [4, 5], 8, 48),
        "é.weight": member("BF16", [2, 10], 48, 88),
        "none": member("F32", [0, 3], 88, 88),
        "q": member("I8", [5, 8], 88, 128),
        "flag": member("BOOL", [1], 128, 129),
    },
    bytes(range(1, 130)),
)
STRATEGY = strategy(
    {
        "a.weight": Lay((2, 4), (0, -1)),
        "adam_m.a.weight": Lay((2, 4), (0, -1)),
        "b.weight": Lay((2, 4), (-1, 1)),
        "b.bias": Lay((2, 4), (-1,)),
    }
)
STRATEGY_JSON = json.dumps(
    {
        "current_stage": 1,
        "parallel_strategy_item": {"MatMul-0": {"stage": 0, "parallel_strategy": [[4, 1], [1, 2]]}},
        "parallel_layout_item": {
            name: {
                "dev_matrix": [2, 4],
                "tensor_map": tensor_map,
                "tensor_shape": [64] * len(tensor_map),
                "field": 0,
                "opt_weight_shard_step": 0,
                "opt_weight_shard_size": 0,
            }
            for name, tensor_map in {"a.weight": [0, -1], "b.weight": [-1, 1], "b.bias": [-1]}.items()
        },
    }
).encode()


@dataclass(frozen=True)
class Hostile:
    """A file that is not what it should be, and what is wrong with it."""

    what: str
    content: bytes


def truncations(content: bytes) -> Iterator[Hostile]:
    """Cut `content` behind each byte but the last."""
    for cut in range(len(content)):
        yield Hostile(f"cut at byte {cut}", content[:cut])


def bit_flips(content: bytes, start: int = 0, stop: int | None = None) -> Iterator[Hostile]:
    """Turn every bit of content[start:stop], one at a time."""
    for at in range(start, len(content) if stop is None else stop):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[at] ^= 1 << bit
            yield Hostile(f"bit {bit} of byte {at} turned", bytes(flipped))


def _tensor(*fields: bytes, name: bytes = b"a") -> bytes:
    return blob(1, blob(1, name) + blob(2, b"".join(fields)))


def _one(described: object, content: bytes = b"", **metadata: str) -> bytes:
    members: Mapping[str, object] = {"a": described}
    return safetensors({"__metadata__": metadata, **members} if metadata else members, content)


HOSTILE_CKPTS = (
    Hostile("empty", b""),
    Hostile("NULs", bytes(100)),
    Hostile("garbage behind", CKPT + b"x"),
    Hostile("a NUL behind", CKPT + b"\0"),
    Hostile("itself behind", CKPT + CKPT),
    Hostile("a record twice, another between", RECORDS[0] + RECORDS[3] + RECORDS[0]),
    Hostile("a chunk lost", CKPT.replace(RECORDS[1], b"")),
    Hostile("the second chunk lost", CKPT.replace(RECORDS[2], b"")),
    Hostile("a chunk twice", CKPT.replace(RECORDS[2], RECORDS[2] * 2)),
    Hostile("chunks of other dims", RECORDS[1] + record("big", (5,), "Int32", bytes(20))),
    Hostile("chunks of another type", RECORDS[1] + record("big", (15,), "UInt32", bytes(20))),
    Hostile("a byte short", record("a", (4, 5), "Float16", bytes(39))),
    Hostile("a byte long", record("a", (4, 5), "Float16", bytes(41))),
    Hostile("no content", record("a", (4, 5), "Float16", b"")),
    Hostile("a negative dim", record("a", (-1, 4), "Float16", bytes(8))),
    Hostile("two negative dims", record("a", (-1, -4), "Float16", bytes(8))),
    Hostile("giant dims", record("a", (1 << 62, 1 << 62), "Float16", bytes(8))),
    Hostile("dims that overflow to their content", record("a", (1 << 32, 1 << 32), "Float16", b"")),
    Hostile("countless dims", record("a", (1,) * 10_000, "Float16", bytes(2))),
    Hostile("countless packed dims", _tensor(blob(1, b"\x01" * 900), blob(2, b"Bool"), blob(3, b"x"))),
    Hostile("packed dims cut off", _tensor(blob(1, b"\x81"), blob(2, b"Bool"), blob(3, b"x"))),
    Hostile("a giant record", b"\x0a" + varint(1 << 62) + b"\x0a\x01a"),
    Hostile("a giant tag", b"\x0a\x7f\x0a" + varint(1 << 62) + bytes(100)),
    Hostile("a tag longer than its record", b"\x0a\x03\x0a\x09aaaaaaaaa"),
    Hostile("a giant tensor", blob(1, blob(1, b"a") + b"\x12" + varint(1 << 62))),
    Hostile("a giant type", _tensor(b"\x12" + varint(1 << 62))),
    Hostile("a giant content", _tensor(blob(2, b"Bool") + b"\x1a" + varint(1 << 62))),
    Hostile("an endless number", b"\x0a" + b"\xff" * 100),
    Hostile("a number of 70 bits", b"\x0a" + b"\xff" * 9 + b"\x7f"),
    Hostile("an empty record", b"\x0a\x00"),
    Hostile("empty records", b"\x0a\x00" * 100),
    Hostile("an empty tag", _tensor(blob(2, b"Bool"), blob(3, b"x"), name=b"")),
    Hostile("a tag that is not UTF-8", _tensor(blob(2, b"Bool"), blob(3, b"x"), name=b"\xff\xfe")),
    Hostile("a tag with an escape sequence", _tensor(blob(2, b"Bool"), blob(3, b"x"), name=b"\x1b[2J")),
    Hostile("a tag with NULs", _tensor(blob(2, b"Bool"), blob(3, b"x"), name=b"a\0b")),
    Hostile("a tag of a surrogate", _tensor(blob(2, b"Bool"), blob(3, b"x"), name=b"\xed\xa0\x80")),
    Hostile("a tag of 2 KiB", record("a" * 2048, (1,), "Bool", b"x")),
    Hostile("a type that is not UTF-8", _tensor(blob(2, b"\xff"), blob(3, b"x"))),
    Hostile("an unknown type", record("a", (1,), "Float4", b"x")),
    Hostile("a text of 5 bytes", record("a", (0,), "str", b"hello")),
    Hostile("a text of no bytes", record("a", (0,), "str", b"")),
    Hostile("a text with dims", record("a", (2, 2), "str", bytes(12))),
    Hostile("no type", _tensor(blob(3, b"x"))),
    Hostile("no content field", _tensor(number(1, 1), blob(2, b"Bool"))),
    Hostile("fields in another order", _tensor(blob(3, b"x"), blob(2, b"Bool"))),
    Hostile("a field behind the content", _tensor(number(1, 1), blob(2, b"Bool"), blob(3, b"x"), number(4, 1))),
    Hostile("a tensor in a tensor", _tensor(blob(1, blob(1, blob(1, blob(1, b"")))))),
    Hostile("a map parameter", blob(1, blob(1, b"table") + blob(3, b""))),
    Hostile("encrypted, AES-GCM", b"\xd8\x5e\x3a\x7f" + bytes(64)),
    Hostile("encrypted, AES-CBC", b"\xd9\x5e\x3a\x7f" + bytes(64)),
    Hostile("encrypted, SM4-CBC", b"\xda\x5e\x3a\x7f" + bytes(64)),
    Hostile("nothing but a CRC", with_crc(b"")),
    Hostile("two CRCs", with_crc(CKPT_WITH_CRC)),
    Hostile("garbage behind the CRC", CKPT_WITH_CRC + b"x"),
)
"""Files of records that must be refused."""

HOSTILE_SAFETENSORS = (
    Hostile("garbage behind", SAFETENSORS + b"x"),
    Hostile("nothing in the header", safetensors({}, b"")),
    Hostile("nothing but metadata", safetensors({"__metadata__": {"format": "ms"}}, b"")),
    Hostile("a header of 0 bytes", bytes(8)),
    Hostile("a giant header", (1 << 62).to_bytes(8, "little") + b"{" + bytes(100)),
    Hostile("a header of 4 GiB", ((1 << 32) - 1).to_bytes(8, "little") + b"{" + bytes(100)),
    Hostile("a list", safetensors([1, 2], b"")),
    Hostile("a list of lists", safetensors({"a": [[[[]]]]}, b"")),
    Hostile(
        "a blank before the header", safetensors(b' {"a":' + json.dumps(member("U8", [1], 0, 1)).encode() + b"}", b"x")
    ),
    Hostile("deep lists", safetensors(b'{"a":' + b"[" * 100_000, b"")),
    Hostile("deep objects", safetensors(b'{"a":' * 100_000, b"")),
    Hostile("deep and closed", safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"")),
    Hostile("not UTF-8", safetensors(b'{"\xff":1}', b"")),
    Hostile("cut JSON", safetensors(b'{"a":{"dtype":"U8"', b"")),
    Hostile("a number of 10,000 digits", safetensors(b'{"a":' + b"9" * 10_000 + b"}", b"")),
    Hostile("NULs in the padding", safetensors(json.dumps({"a": member("U8", [1], 0, 1)}).encode() + bytes(3), b"x")),
    Hostile("a name twice", safetensors(b'{"a":' + json.dumps(member("U8", [1], 0, 1)).encode() + b',"a":{}}', b"x")),
    Hostile("a key twice", safetensors(b'{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"x")),
    Hostile("an empty name", safetensors({"": member("U8", [1], 0, 1)}, b"x")),
    Hostile("a name with an escape sequence", safetensors({"\x1b[2J": member("U8", [1], 0, 1)}, b"x")),
    Hostile("half a surrogate pair", safetensors({"\ud800": member("U8", [1], 0, 1)}, b"x")),
    Hostile("a key lacking", _one({"dtype": "U8", "shape": [1]}, b"x")),
    Hostile("a key too many", _one({**member("U8", [1], 0, 1), "more": 1}, b"x")),
    Hostile("a dtype that is no text", _one({**member("U8", [1], 0, 1), "dtype": 1}, b"x")),
    Hostile("an unknown dtype", _one(member("F4", [1], 0, 1), b"x")),
    Hostile("a shape that is no list", _one({**member("U8", [1], 0, 1), "shape": {}}, b"x")),
    Hostile("a truth in the shape", _one({**member("U8", [], 0, 1), "shape": [True]}, b"x")),
    Hostile("a fraction in the shape", _one({**member("U8", [], 0, 1), "shape": [1.0]}, b"x")),
    Hostile("no number in the shape", safetensors(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}', b"x")),
    Hostile("a negative dim", _one(member("U8", [-1], 0, 1), b"x")),
    Hostile("two negative dims", _one(member("U8", [-1, -1], 0, 1), b"x")),
    Hostile("giant dims", _one(member("U8", [1 << 62, 1 << 62], 0, 1), b"x")),
    Hostile("dims that overflow to their content", _one(member("U8", [1 << 32, 1 << 32], 0, 0), b"")),
    Hostile("a dim of 65 bits", _one(member("U8", [0, 1 << 64], 0, 0), b"")),
    Hostile("countless dims", _one(member("U8", [1] * 1000, 0, 1), b"x")),
    Hostile("a shape that its content contradicts", _one(member("U8", [2], 0, 1), b"x")),
    Hostile("offsets the wrong way round", _one(member("U8", [1], 1, 0), b"x")),
    Hostile("negative offsets", _one(member("U8", [1], -1, 0), b"x")),
    Hostile("one offset", _one({**member("U8", [1], 0, 1), "data_offsets": [1]}, b"x")),
    Hostile("content past the end", _one(member("U8", [2], 0, 2), b"x")),
    Hostile("a hole before", _one(member("U8", [1], 1, 2), b"xx")),
    Hostile("a hole between", safetensors({"a": member("U8", [1], 0, 1), "b": member("U8", [1], 2, 3)}, b"xxx")),
    Hostile("an overlap", safetensors({"a": member("U8", [2], 0, 2), "b": member("U8", [2], 1, 3)}, b"xxx")),
    Hostile("one content for two", safetensors({"a": member("U8", [1], 0, 1), "b": member("U8", [1], 0, 1)}, b"x")),
    Hostile(
        "an empty tensor amid another",
        safetensors({"a": member("U8", [2], 0, 2), "b": member("U8", [0, 1], 1, 1)}, b"xx"),
    ),
    Hostile("an empty tensor", _one(member("U8", [0], 0, 0))),
    Hostile("metadata that is no object", safetensors({"__metadata__": [], "a": member("U8", [1], 0, 1)}, b"x")),
    Hostile("metadata of metadata", safetensors({"__metadata__": {"a": {}}, "a": member("U8", [1], 0, 1)}, b"x")),
    Hostile("perhaps without its replicas", _one(member("U8", [1], 0, 1), b"x", remove_redundancy="true")),
    Hostile("a CRC that is no number", _one(member("U8", [1], 0, 1), b"x", crc_num="x")),
    Hostile("a CRC of 10,000 digits", _one(member("U8", [1], 0, 1), b"x", crc_num="9" * 10_000)),
    Hostile("Int4 of floats", _one(member("F16", [1], 0, 2), b"xx", a="Int4")),
    Hostile("a type from the future", _one(member("I8", [1], 0, 1), b"x", a="Int2")),
    Hostile("a type of nothing", _one(member("I8", [1], 0, 1), b"x", b="Int4")),
)
"""Files with a header that must be refused."""

HOSTILE_STRATEGIES = (
    Hostile("empty", b""),
    Hostile("NULs", bytes(100)),
    Hostile("garbage behind", STRATEGY + b"x"),
    Hostile("itself behind", STRATEGY + STRATEGY),
    Hostile("no parameter", strategy({})),
    Hostile("a giant item", number(1, 1) + b"\x1a" + varint(1 << 62)),
    Hostile("an endless number", b"\x08" + b"\xff" * 100),
    Hostile("a negative dev_matrix", strategy({"a": Lay((-2,), (0,))})),
    Hostile("a giant dev_matrix", strategy({"a": Lay((1 << 31, 1 << 31), (0,))})),
    Hostile("a dev_matrix of NULs", strategy({"a": Lay((0,), (0,))})),
    Hostile("countless axes", strategy({"a": Lay((1,) * 1000, (-1,))})),
    Hostile("countless dims", strategy({"a": Lay((2,), (-1,) * 100_000)})),
    Hostile("an axis that is not there", strategy({"a": Lay((2,), (1,))})),
    Hostile("an axis twice", strategy({"a": Lay((2, 2), (0, 0))})),
    Hostile("an axis below none", strategy({"a": Lay((2,), (-2,))})),
    Hostile("a giant shard size", strategy({"a": Lay((2,), (-1,), shard_step=1, shard_size=1 << 30)})),
    Hostile("a negative shard size", strategy({"a": Lay((2,), (-1,), shard_step=1, shard_size=-2)})),
    Hostile("a name that is not UTF-8", strategy({}) + blob(3, blob(1, b"\xff") + blob(2, b""))),
    Hostile("an item that is a number", strategy({}) + number(3, 1)),
    Hostile("a group", b"\x0b\x0c"),
    Hostile("an open JSON object", b"{"),
    Hostile("an empty JSON object", b"{}"),
    Hostile("deep JSON", b'{"a":' * 100_000),
    Hostile("deep JSON lists", b'{"parallel_layout_item":' + b"[" * 100_000),
    Hostile("JSON that is not UTF-8", b'{"\xff":1}'),
    Hostile("JSON with a number of 10,000 digits", b'{"current_stage":' + b"9" * 10_000 + b"}"),
    Hostile("JSON of other kinds", b'{"parallel_strategy_item":1,"parallel_layout_item":2}'),
)
"""Strategy files that must be refused."""
