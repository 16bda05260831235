"""TensorBoard's event files, as far as scalars need them.

A file is a sequence of records: length (8 bytes), its checksum (4), the content, its checksum (4). The checksum is
CRC-32C, masked (tensorflow/core/lib/io/record_writer.h). The content is a message Event (core/util/event.proto), of
which wall_time is field 1, step 2, file_version 3, summary 5, and in that value 1, of tag 1 and simple_value 2.
"""

import struct
from collections.abc import Iterable

from handlers.rank_log.steps import StepLine

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's, reversed."""


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (_POLYNOMIAL if rest & 1 else 0)
        table.append(rest)
    return tuple(table)


_TABLE = _table()


_TAGS = {
    "loss": "loss",
    "learning_rate": "learning-rate",
    "loss_scale": "loss-scale",
    "norm": "grad-norm",
    "milliseconds": "iteration-time",
    "samples": "throughput",
    "teraflops": "model-flops-throughput-per-npu",
    "lm_loss": "lm-loss",
    "balancing_loss": "load-balancing-loss",
    "mtp_loss": "mtp-loss",
    "overflow": "overflow",
}
"""What a step tells, and its tag: those of core/callback/callback.py of MindFormers 1.5 and newer.

So a training with 0.8 and one with 1.x lie in one plot. `overflow` is ours.
"""


def crc32c(content: bytes) -> int:
    """Return the CRC-32C of `content`."""
    table, rest = _TABLE, 0xFFFFFFFF
    for byte in content:
        rest = table[(rest ^ byte) & 0xFF] ^ rest >> 8
    return rest ^ 0xFFFFFFFF


def beginning(at: float) -> bytes:
    """Return what each file begins with."""
    return _record(_event_time(at) + _text(3, b"brain.Event:2"))


def scalars(step: StepLine, at: float) -> bytes:
    """Return the event of a step, with MindFormers' own tags; `at` is when, for a log without times."""
    numbers = ((begin, getattr(step, field)) for field, begin in _VALUES)
    values = b"".join(begin + _float(number) for begin, number in numbers if number is not None)
    when = at if step.time is None else step.time
    return _record(_event_time(when) + b"\x10" + _varint(step.number) + _text(5, values))


def _float(number: float) -> bytes:
    try:
        return struct.pack("<f", number)
    except OverflowError:  # beyond what four bytes hold
        return struct.pack("<f", float("inf") if number > 0 else float("-inf"))


def _event_time(at: float) -> bytes:
    return b"\x09" + struct.pack("<d", at)


def _text(field: int, content: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(content)) + content


def _value(tag: str) -> bytes:
    """Return how a value begins, up to its number of four bytes."""
    begin = _text(1, tag.encode()) + b"\x15"
    return b"\x0a" + _varint(len(begin) + 4) + begin


def _varint(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return b"".join(_with_checksums((length, content)))


def _with_checksums(parts: Iterable[bytes]) -> Iterable[bytes]:
    for part in parts:
        rest = crc32c(part)
        yield part
        yield struct.pack("<I", (rest >> 15 | rest << 17) + 0xA282EAD8 & 0xFFFFFFFF)


_VALUES = tuple((field, _value(tag)) for field, tag in _TAGS.items())
