"""Whatever a file holds: it is refused by our own error or read whole, in bounded memory, never with less than it had.

What one file cannot show by itself, and comparing the ranks does: a `.ckpt` without a CRC, cut between two parameters.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.ckpt import CkptError, CkptFile, check_crc, inspect, read_strategy, walk
from handlers.ckpt.entry import Entry, element_count
from handlers.ckpt.formats.safetensors import MAX_HEADER, MAX_NODES
from tests.fuzz.fuzz_formats import check, samples
from tests.unit.handlers.ckpt.ckpt_writer import Write
from tests.unit.handlers.ckpt.hostile import (
    CKPT,
    CKPT_WITH_CRC,
    HOSTILE_CKPTS,
    HOSTILE_SAFETENSORS,
    HOSTILE_STRATEGIES,
    SAFETENSORS,
    STRATEGY,
    STRATEGY_JSON,
    Hostile,
    bit_flips,
    truncations,
)

Read = Callable[[bytes], CkptFile]


@pytest.fixture
def read() -> Iterator[Read]:
    """Walk the content, CRC included; a file in memory is ten times as fast as one on a disk."""
    descriptor = os.memfd_create("hostile")

    def walked(content: bytes) -> CkptFile:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)
        file = walk(Path(f"/proc/self/fd/{descriptor}"))
        check_crc(file)
        return file

    yield walked
    os.close(descriptor)


def accepted(read: Callable[[bytes], object], damages: Iterator[Hostile]) -> dict[str, object]:
    """Return what was read of damaged files all the same, by what was done to them."""
    found: dict[str, object] = {}
    for damage in damages:
        try:
            found[damage.what] = read(damage.content)
        except CkptError as error:
            assert str(error)  # noqa: PT017 - either outcome is right
    return found


def held(entry: Entry) -> tuple[object, ...]:
    """Return all that makes an entry's content what it is; names and dims of one element are words."""
    return entry.extents, entry.type, element_count(entry.dims)


def named(cases: tuple[Hostile, ...]) -> pytest.MarkDecorator:
    """Make each case a test."""
    return pytest.mark.parametrize("case", cases, ids=[case.what for case in cases])


@named(HOSTILE_CKPTS + HOSTILE_SAFETENSORS)
def test_a_hostile_checkpoint_is_refused(written: Write, case: Hostile) -> None:
    """By our own error, which names the file and is short enough to read."""
    with pytest.raises(CkptError, match=r"shard\.ckpt") as refusal:
        walk(written(case.content))
    assert len(str(refusal.value)) < 1500
    assert "\x1b" not in str(refusal.value)


@named(HOSTILE_STRATEGIES)
def test_a_hostile_strategy_is_refused(written: Write, case: Hostile) -> None:
    """By our own error, which names the file."""
    with pytest.raises(CkptError, match=r"shard\.ckpt"):
        read_strategy(written(case.content))


@named(HOSTILE_CKPTS + HOSTILE_SAFETENSORS + HOSTILE_STRATEGIES)
def test_inspecting_a_hostile_file_refuses_it(written: Write, case: Hostile) -> None:
    """Also where it has yet to be found out what the file is."""
    with pytest.raises(CkptError, match=r"shard\.ckpt"):
        inspect(written(case.content))


def test_a_cut_ckpt_with_a_crc_is_refused(read: Read) -> None:
    """All cuts but those that take the CRC along with whole parameters, which leave what is cut above."""
    plain = accepted(read, truncations(CKPT)).keys() | {f"cut at byte {len(CKPT)}"}
    assert accepted(read, truncations(CKPT_WITH_CRC)).keys() == plain


def test_a_turned_bit_in_a_ckpt_loses_nothing(read: Read) -> None:
    """A turned bit is refused, or turns one name into another or dims [1] and [0], both one element, into each other.

    Content has no redundancy here; the CRC has it.
    """
    original = list(read(CKPT).entries.values())
    for what, file in accepted(read, bit_flips(CKPT)).items():
        assert isinstance(file, CkptFile)
        entries = list(file.entries.values())
        assert [held(entry) for entry in entries] == [held(entry) for entry in original], what
        changed = sum(one != other for one, other in zip(entries, original, strict=True))
        assert changed <= 1, what


def test_a_turned_bit_in_a_ckpt_with_a_crc_is_refused(read: Read) -> None:
    """Every one, wherever it is."""
    assert read(CKPT_WITH_CRC).crc is not None
    assert accepted(read, bit_flips(CKPT_WITH_CRC)) == {}


def test_a_turned_bit_in_a_safetensors_header_loses_nothing(read: Read) -> None:
    """A turned bit is refused, or changes a name, a word of the metadata, or the dims of an empty tensor."""
    original = list(read(SAFETENSORS).entries.values())
    start = int.from_bytes(SAFETENSORS[:8], "little") + 8
    flipped = accepted(read, bit_flips(SAFETENSORS, 0, start))
    assert flipped
    for what, file in flipped.items():
        assert isinstance(file, CkptFile)
        entries = list(file.entries.values())
        assert [held(entry) for entry in entries] == [held(entry) for entry in original], what
        assert sum(one.name != other.name for one, other in zip(entries, original, strict=True)) <= 1, what


@pytest.mark.parametrize("content", (STRATEGY, STRATEGY_JSON), ids=("protobuf", "JSON"))
def test_a_turned_bit_in_a_strategy_loses_no_parameter(written: Write, content: bytes) -> None:
    """A turned bit is refused, or changes a name or a layout; that the shards contradict it, planning finds out."""
    path = written(content)
    count = len(read_strategy(path).layouts)

    def layouts(damaged: bytes) -> int:
        path.write_bytes(damaged)
        return len(read_strategy(path).layouts)

    lost = {what for what, found in accepted(layouts, bit_flips(content)).items() if found != count}
    assert lost == set()


@pytest.mark.parametrize("make", (os.mkfifo, Path.mkdir), ids=("a FIFO", "a directory"))
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A FIFO that nobody writes to would keep a reader waiting forever."""
    make(tmp_path / "shard.ckpt")
    with pytest.raises(CkptError, match=r"shard\.ckpt is no regular file"):
        walk(tmp_path / "shard.ckpt")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a sample with a few spans replaced by bytes, or by a span of another sample."""
    content = draw(st.sampled_from(samples()))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = start + draw(st.integers(0, 8))
        other = draw(st.sampled_from(samples()))
        at = draw(st.integers(0, len(other)))
        span = draw(st.binary(max_size=8) | st.just(other[at : at + draw(st.integers(0, 40))]))
        content = content[:start] + span + content[stop:]
    return content


def test_every_sample_is_read_as_by_the_formats_own_parsers() -> None:
    """Or refused by our own error; among them are whole files of each kind."""
    assert sum(check(sample) for sample in samples()) > len(samples()) / 10


@settings(max_examples=500, deadline=None)
@given(content=mutated())
def test_mutations_are_read_as_by_the_formats_own_parsers(content: bytes) -> None:
    """Or refused by our own error. tests/fuzz/fuzz_formats.py does this for as long as one likes."""
    assert check(content) >= 0


ROOM = 384 << 20
"""Bytes that reading any file may take: a header of 32 MiB of the worst JSON takes three quarters of it."""

NODES = MAX_NODES - 8
"""Brackets and commas that are just not too many."""
GREEDY = {
    "lists": b'{"a":[' + b"[]," * (NODES // 2) + b"0]}",
    "objects": b'{"a":[' + b"{}," * (NODES // 2) + b"0]}",
    "texts": b'{"a":[' + '"😀b",'.encode() * NODES + b"0]}",
    "numbers": b'{"a":[' + b"0.5," * NODES + b"0]}",
    "commas": b'{"a":[' + b"1," * (15 << 20) + b"0]}",
    "names": b"{" + b'"%x":0,' * (NODES // 2) % tuple(range(NODES // 2)) + b'"a":0}',
    "one long name": b'{"' + "😀".encode() * ((8 << 20) - 16) + b'":1}',
}
READ = """
import resource, sys
from pathlib import Path
from handlers.ckpt import CkptError, read_strategy, walk
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + int(sys.argv[2]),) * 2)
for read in (walk, read_strategy):
    try:
        print(len(read(Path(sys.argv[1])).entries))
    except CkptError as error:
        print("refused:", str(error)[:300])
"""


def read_in_little_room(path: Path) -> list[str]:
    """Walk `path`, and read it as a strategy, in a process that may take ROOM."""
    done = subprocess.run([sys.executable, "-c", READ, path, str(ROOM)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.parametrize("greed", GREEDY)
def test_a_header_takes_bounded_memory(written: Write, greed: str) -> None:
    """JSON that grows when it is parsed is refused within the bound."""
    text = GREEDY[greed]
    assert len(text) <= MAX_HEADER
    for content in (len(text).to_bytes(8, "little") + text, text):
        assert [line[:8] for line in read_in_little_room(written(content))] == ["refused:"] * 2


@pytest.mark.parametrize(
    "unit",
    (b"\x08\x01", b"\x1a\x00", b"\x12\x00", b"\x0a\x00", b"\x1a\x04\x0a\x02aa", b"\x0a\x02\x0a\x00"),
    ids=("numbers", "items", "operators", "records", "names", "values"),
)
def test_countless_fields_take_bounded_memory(written: Write, unit: bytes) -> None:
    """Protobuf that grows when it is parsed is refused within the bound, at the top or nested."""
    many = unit * ((31 << 20) // len(unit))
    nested = b"\x1a" + varint_of(len(many) + 3) + b"\x0a\x01a" + many
    for content in (many, nested):
        assert [line[:8] for line in read_in_little_room(written(content))] == ["refused:"] * 2


def varint_of(value: int) -> bytes:
    """Encode a length of four bytes."""
    return bytes([value & 127 | 128, value >> 7 & 127 | 128, value >> 14 & 127 | 128, value >> 21])


def test_the_room_is_a_bound(written: Write) -> None:
    """The test above can fail: what takes more than the room does."""
    del written
    code = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({ROOM},) * 2); bytes({2 * ROOM})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_AS) != (ROOM, ROOM)
