"""Making a record anew from logs."""

import errno
import os
from pathlib import Path

import pytest

from handlers.training_record.rebuilding import rebuild
from handlers.training_record.record import EVENTS, NAME, read
from handlers.training_record.rows import Header

STEP = "{{ Epoch:[  1/ 31], step:[{0:5d}/    4], loss:[{0}.000/1.0], per_step_time: 9ms, \n"


@pytest.fixture
def logs(tmp_path: Path) -> dict[int, Path]:
    """Return the logs of two ranks, of which the second was killed within a line."""
    found = {rank: tmp_path / f"{rank}.log" for rank in (0, 1)}
    found[0].write_text(STEP.format(9))
    found[1].write_text("".join(map(STEP.format, (1, 2, 3))) + STEP.format(4)[:30])
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return an attempt's directory with a record that is to give way."""
    found = tmp_path / "train"
    found.mkdir()
    (found / NAME).write_text("old")
    (found / f"{EVENTS}1.host.glmd").write_text("old")
    return found


def test_a_record_is_made_of_whole_lines(logs: dict[int, Path], directory: Path, header: Header) -> None:
    """To the last step that was told, though the log ends within a line; what was there before is replaced."""
    assert rebuild(logs, directory, header) == 3
    assert [(row.step.loss, row.header.rank) for row in read(directory / NAME)] == [(1.0, 1), (2.0, 1), (3.0, 1)]
    names = sorted(path.name for path in directory.iterdir())
    assert len(names) == 2
    assert names[0].startswith(EVENTS)
    assert all((directory / name).read_bytes() != b"old" for name in names)


def test_another_rank_answers_where_the_last_one_says_nothing(
    logs: dict[int, Path], directory: Path, header: Header
) -> None:
    """Or has no log at all."""
    logs[1].unlink()
    assert rebuild(logs, directory, header) == 1
    assert [(row.step.loss, row.header.rank) for row in read(directory / NAME)] == [(9.0, 0)]


def test_logs_without_steps_leave_what_there_is(logs: dict[int, Path], directory: Path, header: Header) -> None:
    """A record whose logs are gone is better than none."""
    for log in logs.values():
        log.write_text("nothing\n")
    assert rebuild(logs, directory, header) == 0
    assert [path.read_text() for path in directory.iterdir()] == ["old", "old"]


@pytest.mark.parametrize("first", range(1, 6))
def test_a_full_disk_leaves_what_there_is(
    logs: dict[int, Path], directory: Path, header: Header, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """And nothing temporary."""
    real, seen = os.write, 0

    def write(descriptor: int, content: bytes) -> int:
        nonlocal seen
        seen += 1
        if seen >= first:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", write)
    try:
        rebuild(logs, directory, header)
    except OSError:
        assert [path.read_text() for path in directory.iterdir()] == ["old", "old"]
    else:
        assert len(list(read(directory / NAME))) == 3
