r"""A coverage-guided fuzzer of all that parses files: `.ckpt` records, safetensors headers, strategy files, CRCs.

Run by hand; atheris (libFuzzer for Python, wheels for Linux) is no dependency:

    .venv/bin/uv pip install atheris
    PYTHONPATH=. nice .venv/bin/python tests/fuzz/fuzz_formats.py \
        -max_total_time=180 -rss_limit_mb=1024 -max_len=2048 -artifact_prefix=/tmp/ /tmp/corpus

The corpus directory is created and filled with the samples of the hostile corpus; the options are libFuzzer's. An input
that breaks a promise is written to /tmp/crash-*, and given as the only argument it runs alone. The suite runs the same
check over every sample, and over random mutations of them (tests/unit/handlers/ckpt/test_hostile.py).

The promises, for every input: our own errors only; and what is accepted is read as the formats' own parsers read it,
protobuf's and the safetensors library's.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from safetensors import deserialize

from handlers.ckpt import CkptError, CkptFile, Format, check_crc, read_strategy, walk
from handlers.ckpt.formats.known import FORMATS
from handlers.ckpt.formats.record import TRAILER_SIZE
from tests.unit.handlers.ckpt import hostile


def _checkpoint_class() -> type[Message]:
    """Return the message of mindspore/core/proto/checkpoint.proto."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="checkpoint.proto", package="fuzz", syntax="proto2")
    file.message_type.add(name="Checkpoint").field.add(
        name="value", number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED, type_name=".fuzz.Value"
    )
    value = file.message_type.add(name="Value")
    value.field.add(name="tag", number=1, type=field.TYPE_STRING, label=field.LABEL_REQUIRED)
    value.field.add(
        name="tensor", number=2, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL, type_name=".fuzz.Tensor"
    )
    tensor = file.message_type.add(name="Tensor")
    tensor.field.add(name="dims", number=1, type=field.TYPE_INT64, label=field.LABEL_REPEATED)
    tensor.field.add(name="tensor_type", number=2, type=field.TYPE_STRING, label=field.LABEL_REQUIRED)
    tensor.field.add(name="tensor_content", number=3, type=field.TYPE_BYTES, label=field.LABEL_REQUIRED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("fuzz.Checkpoint"))


CHECKPOINT = _checkpoint_class()
Content = tuple[str, list[int], str, bytes]
"""A name, dims, a type, and the bytes of all chunks."""


class File:
    """A file in memory, to be filled again and again."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("fuzz")
        self.path = Path(f"/proc/self/fd/{self._descriptor}")

    def fill(self, content: bytes) -> Path:
        """Let the file hold `content`; return its path."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)
        return self.path


FILE = File()


def check(content: bytes) -> int:
    """Read `content` as everything that it might be; return by how many readers it was accepted.

    Raises AssertionError, or whatever escapes, where a promise is broken.
    """
    path = FILE.fill(content)
    accepted = 0
    for read in (walk, *(known.walk_file for known in FORMATS.values())):
        try:
            file = read(path)
        except CkptError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right
            continue
        accepted += 1
        theirs = _as_safetensors(content) if file.format is Format.SAFETENSORS else _as_protobuf(content, file)
        assert _contents(file, content) == theirs
        try:
            check_crc(file)
        except CkptError:
            assert file.crc is not None
    try:
        assert read_strategy(path).layouts
        accepted += 1
    except CkptError as error:
        assert str(path) in str(error)  # noqa: PT017
    return accepted


def _contents(file: CkptFile, content: bytes) -> list[Content]:
    """Return what our walk found."""
    return [
        (
            entry.name,
            list(entry.dims),
            "" if file.format is Format.SAFETENSORS else entry.type,
            b"".join(content[extent.offset : extent.offset + extent.length] for extent in entry.extents),
        )
        for entry in file.entries.values()
    ]


def _as_protobuf(content: bytes, file: CkptFile) -> list[Content]:
    """Return what protobuf makes of the records, chunks joined."""
    checkpoint = CHECKPOINT()
    try:
        checkpoint.ParseFromString(content if file.crc is None else content[:-TRAILER_SIZE])
    except DecodeError as error:
        raise AssertionError("protobuf does not read it") from error
    found: list[Content] = []
    for value in checkpoint.value:  # type: ignore[attr-defined]
        tensor = value.tensor
        before = found.pop()[3] if found and found[-1][0] == value.tag else b""
        found.append((value.tag, list(tensor.dims), tensor.tensor_type, before + tensor.tensor_content))
    return found


def _as_safetensors(content: bytes) -> list[Content]:
    """Return what the library makes of it, by content, then by name, as the order of empty tensors is not defined."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    views = {name: (list(view["shape"]), bytes(view["data"])) for name, view in deserialize(content)}
    names = [name for name in header if name in views]
    names.sort(key=lambda name: header[name]["data_offsets"])
    return [(name, views[name][0], "", views[name][1]) for name in names]


def samples() -> list[bytes]:
    """Return the hostile corpus and the whole files that it was made of."""
    whole = [
        hostile.CKPT,
        hostile.CKPT_WITH_CRC,
        hostile.SAFETENSORS,
        hostile.STRATEGY,
        hostile.STRATEGY_JSON,
        *hostile.RECORDS,
    ]
    cases = hostile.HOSTILE_CKPTS + hostile.HOSTILE_SAFETENSORS + hostile.HOSTILE_STRATEGIES
    return whole + [case.content for case in cases if len(case.content) < 4096]


def main(argv: Sequence[str]) -> None:
    """Fuzz until libFuzzer's options say to stop."""
    import atheris  # noqa: PLC0415 - the suite imports this module without it

    for corpus in [Path(word) for word in argv[1:] if not word.startswith("-")][:1]:
        if not corpus.is_file():
            corpus.mkdir(exist_ok=True)
            for number, sample in enumerate(samples()):
                (corpus / f"sample-{number:03}").write_bytes(sample)
    atheris.instrument_all()
    atheris.Setup(list(argv), lambda content: check(content) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
