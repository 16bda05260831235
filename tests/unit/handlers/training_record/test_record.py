"""The record of a training: what was written is read, while it grows, and whatever happens to the file."""

import errno
import math
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.training_record.record import EVENTS, NAME, RecordWriter, read, stitched
from handlers.training_record.rows import Header, Row, as_json

from .conftest import Making

WRITTEN = """\
{"format":1,"job":42,"attempt":1,"rank":7,"devices":8,"host":"npu01","epochs":31,"steps":4,"every":1}
{"t":1795875499.76,"n":3,"e":1,"s":3,"loss":11.78,"mean":11.772,"ms":114,"lr":0.0,"over":true,"scale":536870900.0,\
"norm":null,"sps":7.08,"tf":null,"at":3000}
{"t":null,"n":5,"e":2,"s":1,"loss":"nan","mean":null,"ms":null,"lr":null,"over":null,"scale":null,\
"norm":"inf","sps":null,"tf":null,"lm":1.5,"at":5000}
"""


def numbers(rows: list[Row]) -> list[int]:
    """Return which steps they are."""
    return [row.step.number for row in rows]


def test_the_form_is_the_documented_one(tmp_path: Path, header: Header, logged: Making) -> None:
    """A header, and a line for each step, with the keys of docs/cli.md; and it is read as it was."""
    full = {"mean": 11.772, "milliseconds": 114, "learning_rate": 0.0, "overflow": True, "loss_scale": 536870900.0}
    steps = [
        logged(3, 11.78, time=1795875499.76, samples=7.08, **full),
        logged(5, math.nan, norm=math.inf, lm_loss=1.5),
    ]
    RecordWriter(tmp_path, header).append(steps, 7)
    assert (tmp_path / NAME).read_text() == WRITTEN
    first, second = read(tmp_path / NAME)
    assert first == Row(header, steps[0].step, 3000)
    assert math.isnan(second.step.loss)
    assert replace(second.step, loss=0.0) == replace(steps[1].step, loss=0.0)  # NaN is not itself
    assert as_json(first)["attempt"] == 1
    assert as_json(first)["over"] is True


def test_a_header_tells_what_changed(tmp_path: Path, header: Header, logged: Making) -> None:
    """The rank that was asked, or how many steps there are: each row is read with what held for it."""
    writer = RecordWriter(tmp_path, header)
    writer.append([logged(1)], 7)
    writer.append([logged(2)], 0)
    writer.append([logged(3)], 0)
    assert [row.header.rank for row in read(tmp_path / NAME)] == [7, 0, 0]
    assert (tmp_path / NAME).read_text().count('"format"') == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(WRITTEN)), st.binary(max_size=20).filter(lambda noise: b"\n" not in noise))
def test_any_cut_reads_as_a_beginning(tmp_path: Path, cut: int, noise: bytes) -> None:
    """A record that a kill or a full disk cut off has its whole lines, and no other; what is no row is passed over."""
    path = tmp_path / "cut.jsonl"
    content = WRITTEN.encode()[:cut]
    path.write_bytes(content)
    whole = max(0, content.count(b"\n") - 1)
    assert numbers(list(read(path))) == [3, 5][:whole]
    path.write_bytes(content[: content.rfind(b"\n") + 1] + noise)
    assert numbers(list(read(path))) == [3, 5][:whole]


ROW = WRITTEN.splitlines()[2]


@pytest.mark.parametrize(
    "line",
    (
        *("null", "[]", "{}", '"loss"', '{"loss":1}', "[" * 3000, '{"format":2}', '{"format":1,"job":[]}', "\x00" * 9),
        ROW.replace('"e":2', '"e":-1'),
        ROW.replace('"e":2', '"e":2.5'),
        ROW.replace('"nan"', "true"),
        ROW.replace('"nan"', "null"),
        ROW.replace('"nan"', '"naan"'),
        ROW.replace('"nan"', "1" + "0" * 400),
        ROW.replace('"over":null', '"over":1'),
        "x" * 200_000,
    ),
)
def test_what_is_no_row_is_passed_over(tmp_path: Path, line: str) -> None:
    """Whoever wrote it: the rows around it are read."""
    first, second, third = WRITTEN.splitlines()
    (tmp_path / NAME).write_text(f"{first}\n{second}\n{line}\n{third}\n")
    assert numbers(list(read(tmp_path / NAME))) == [3, 5]


def test_a_later_attempt_replaces_what_it_did_anew(tmp_path: Path, header: Header, logged: Making) -> None:
    """From its first step on its steps count; what an attempt did before stays."""
    for attempt, (first, end) in enumerate(((1, 11), (7, 9), (8, 13)), 1):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        RecordWriter(directory, replace(header, attempt=attempt)).append([*map(logged, range(first, end))], 7)
    rows = stitched(row for attempt in (1, 2, 3) for row in read(tmp_path / str(attempt) / NAME))
    assert numbers(rows) == [*range(1, 13)]
    assert [row.header.attempt for row in rows] == [1] * 6 + [2] + [3] * 5


def test_a_second_writer_goes_on_behind_a_cut_line(tmp_path: Path, header: Header, logged: Making) -> None:
    """One that was killed within a line takes no later step with it."""
    RecordWriter(tmp_path, header).append([logged(1)], 7)
    with (tmp_path / NAME).open("a") as stream:
        stream.write('{"t":17958754')
    RecordWriter(tmp_path, header).append([logged(2)], 7)
    assert numbers(list(read(tmp_path / NAME))) == [1, 2]


@pytest.mark.parametrize("number", (errno.ENOSPC, errno.EIO))
@pytest.mark.parametrize("failing", ("ftruncate", "write", "open"))
@pytest.mark.parametrize("written", (0, 30))
def test_a_failed_write_is_made_good_by_the_next(
    tmp_path: Path,
    header: Header,
    logged: Making,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    failing: str,
    written: int,
) -> None:
    """Whichever call fails, and however much had been written: each step is there once, and both files are whole."""
    real_write, real = os.write, getattr(os, failing)
    for first in range(1, 9):
        directory = tmp_path / f"{first}"
        directory.mkdir()
        writer, seen = RecordWriter(directory, header), 0

        def fail(*arguments: object, first: int = first) -> object:
            nonlocal seen
            seen += 1
            if seen != first:
                return real(*arguments)
            if failing == "write" and written:
                real_write(arguments[0], bytes(arguments[1])[:written])  # type: ignore[arg-type,call-overload]
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, failing, fail)
            for step in range(1, 4):
                try:
                    writer.append([logged(step)], 7)
                except OSError:
                    writer.append([logged(step)], 7)
        other = tmp_path / f"other-{first}"
        other.mkdir()
        clean = RecordWriter(other, header)
        for step in range(1, 4):
            clean.append([logged(step, time=1.0)], 7)
        assert numbers(list(read(directory / NAME))) == [1, 2, 3]
        assert (directory / NAME).read_text().count("\n") == 4
        (events,), (of_clean,) = directory.glob(f"{EVENTS}*"), other.glob(f"{EVENTS}*")
        assert events.stat().st_size == of_clean.stat().st_size


def test_a_record_that_somebody_removed_begins_anew(tmp_path: Path, header: Header, logged: Making) -> None:
    """With its header: what comes then is readable."""
    writer = RecordWriter(tmp_path, header)
    writer.append([logged(1)], 7)
    for path in tmp_path.iterdir():
        path.unlink()
    writer.append([logged(2)], 7)
    assert numbers(list(read(tmp_path / NAME))) == [2]


def test_no_link_is_written_through(tmp_path: Path, header: Header, logged: Making) -> None:
    """Nor does a FIFO in the record's place make anybody wait."""
    target = tmp_path / "target"
    target.touch()
    (tmp_path / NAME).symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        RecordWriter(tmp_path, header).append([logged(1)], 7)
    assert target.stat().st_size == 0
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(OSError, match="No such device"):
        RecordWriter(tmp_path, header).append([logged(1)], 7)


def test_a_long_record_is_thinned(tmp_path: Path, header: Header, logged: Making) -> None:
    """It stays within its bound, and keeps the first, the last, the extremes and what is no finite number."""
    writer = RecordWriter(tmp_path, header, most_rows=1000)
    odd = {1234: math.nan, 3456: 1e9, 4567: -1e9}
    for number in range(1, 5001):
        writer.append([logged(number, odd.get(number, 2 + math.sin(number / 50)))], 7)
    rows = list(read(tmp_path / NAME))
    assert len(rows) < 1000
    kept = numbers(rows)
    assert kept == sorted(set(kept))
    assert {1, *odd, 5000} <= set(kept)
    assert [row.header.every for row in rows] == sorted((row.header.every for row in rows), reverse=True)
    assert {row.header.every for row in rows} == {100, 10, 1}
    gaps = [after - before for before, after in pairwise(kept)]
    assert max(gaps) < 200
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
    (events,) = tmp_path.glob(f"{EVENTS}*")
    assert events.stat().st_size < 3000 * 60


def test_thinning_that_fails_loses_nothing(
    tmp_path: Path, header: Header, logged: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again later; until then the record is longer."""
    writer = RecordWriter(tmp_path, header, most_rows=100)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        for number in range(1, 131):
            writer.append([logged(number)], 7)
    assert numbers(list(read(tmp_path / NAME))) == [*range(1, 131)]
    for number in range(131, 301):
        writer.append([logged(number)], 7)
    rows = list(read(tmp_path / NAME))
    assert len(rows) < 200
    assert rows[-1].step.number == 300


@pytest.mark.parametrize("count", (1, 2, 99, 100, 101, 250, 1000))
def test_a_glance_at_a_long_record(tmp_path: Path, header: Header, logged: Making, count: int) -> None:
    """It has about as many rows as were asked for, the first and the last among them."""
    RecordWriter(tmp_path, header).append([*map(logged, range(1, count + 1))], 7)
    kept = numbers(list(read(tmp_path / NAME, 100)))
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (1, count)
    assert min(count, 49) <= len(kept) <= 101
