"""Curves: what counts of several attempts, thinned so that nothing striking is lost, and read once."""

import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.states import Job
from daemon.face.web.curves import Curves
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.records.job_dir import JobDir, Step
from handlers.training_record.record import NAME, RecordWriter
from handlers.training_record.rows import Header
from tests.unit.daemon.face.diary import TRAINING, Diary, utc
from tests.unit.daemon.face.web.visitor import record


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one answer take its time, on a machine that is busy."""
    monkeypatch.setattr("daemon.face.web.curves.AT_ONCE", math.inf)


@pytest.fixture
def job(diary: Diary) -> Job:
    """Return a job that trains."""
    return diary.job("run", utc("2026-11-28 02:00"), *TRAINING)


@pytest.fixture
def directory(diary: Diary, job: Job) -> JobDir:
    """Return its directory."""
    return job.directory(diary.root.path)


def steps_of(directory: JobDir, attempt: int = 1) -> Path:
    """Return the record of an attempt."""
    return directory.step(attempt, Step.TRAIN).path / NAME


def test_attempts_are_joined(diary: Diary, job: Job, directory: JobDir) -> None:
    """From where a later one begins it is that one that counts; what was trained in vain is there beside it."""
    for attempt, (numbers, loss) in enumerate(((range(1, 11), 9.0), (range(5, 9), 8.0), (range(7, 10), 7.0)), 1):
        record(diary.root.path, job, numbers, attempt=attempt, loss=loss)
    curve = Curves().of(directory, 100)
    assert list(curve.number) == list(range(1, 11))
    assert curve.began == {1: 1, 2: 5, 3: 7}
    assert curve.rows == 17
    losses = [
        None if value is None else round(value * n) for n, value in zip(curve.number, curve.values["loss"], strict=True)
    ]
    assert losses == [9, 9, 9, 9, 8, 8, 7, 7, 7, None]
    vain = [None if value is None else round(value * n) for n, value in zip(curve.number, curve.vain, strict=True)]
    assert vain == [None, None, None, None, 9, 9, 8, 8, 9, 9]
    assert [round(row[0] or 0) for row in Curves().rows_of(directory)] == list(range(1, 10))


def test_a_job_without_records_has_an_empty_curve(directory: JobDir) -> None:
    """It has not trained yet."""
    curve = Curves().of(directory, 100)
    assert (list(curve.number), curve.rows, curve.began) == ([], 0, {})
    assert list(Curves().rows_of(directory)) == []


@settings(max_examples=60, deadline=None)
@given(
    losses=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=300),
    points=st.integers(2, 50),
)
def test_thinning_keeps_what_strikes(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float], points: int
) -> None:
    """The first and the last step, the lowest and the highest loss; and it is about as much as was asked for."""
    directory = JobDir(tmp_path_factory.mktemp("job"))
    write(directory, losses)
    curve = Curves().of(directory, points)
    assert curve.number[0] == 1
    assert curve.number[-1] == len(losses)
    assert len(curve.number) <= max(points, 2) + 4
    assert list(curve.number) == sorted(set(curve.number))
    finite = [loss for loss in losses if math.isfinite(loss)]
    kept = [loss for loss in curve.values["loss"] if loss is not None]
    assert bool(finite) == bool(kept)
    if finite:
        assert (min(kept), max(kept)) == (min(finite), max(finite))


def write(directory: JobDir, losses: list[float]) -> None:
    """Write a record of losses that may be no numbers."""
    path = steps_of(directory)
    path.parent.mkdir(parents=True)
    steps = [StepLine(time=1.5, epoch=1, epochs=1, step=n, steps=10**6, loss=loss) for n, loss in enumerate(losses, 1)]
    logged = [LoggedStep(step, 100 * place) for place, step in enumerate(steps, 1)]
    RecordWriter(path.parent, Header(1, 1, 0, 1, "npu01", 1, 10**6)).append(logged, 0)


def test_what_grows_is_read_from_where_it_was_left(
    diary: Diary, job: Job, directory: JobDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from its start again."""
    record(diary.root.path, job, range(1, 1001))
    curves = Curves()
    assert curves.of(directory, 10_000).rows == 1000
    size = steps_of(directory).stat().st_size
    read: list[tuple[int, int]] = []
    usual = os.pread

    def counting(descriptor: int, count: int, offset: int) -> bytes:
        content = usual(descriptor, count, offset)
        read.append((offset, len(content)))
        return content

    monkeypatch.setattr(os, "pread", counting)
    record(diary.root.path, job, range(1001, 1003))
    assert list(curves.of(directory, 10_000).number)[-2:] == [1001, 1002]
    assert min(offset for offset, _ in read) == size
    assert sum(length for _, length in read) < 2000


def test_a_record_that_was_thinned_or_made_anew(diary: Diary, job: Job, directory: JobDir) -> None:
    """No step is there twice, none that was known is lost, and what comes behind is seen at once."""
    record(diary.root.path, job, range(1, 8001))
    curves = Curves()
    assert curves.of(directory, 100_000).rows == 8000
    path = steps_of(directory)
    whole = path.read_bytes()
    path.unlink()
    record(diary.root.path, job, range(1, 8011))
    assert path.stat().st_size > 2 << 19 > len(whole) // 2
    assert list(curves.of(directory, 100_000).number) == list(range(1, 8011))
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:100]))
    assert list(curves.of(directory, 100_000).number) == list(range(1, 8011))


def test_a_long_record_is_there_piece_by_piece(
    diary: Diary, job: Job, directory: JobDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read within the time that one answer has is shown, and more when it is asked for again."""
    record(diary.root.path, job, range(1, 8001))
    monkeypatch.setattr("daemon.face.web.curves.AT_ONCE", -1.0)
    curves = Curves()
    curve = curves.of(directory, 100)
    assert 0 < curve.rows < 8000
    assert (curve.is_whole, curve.as_json()["whole"]) == (False, False)
    for _ in range(40):
        curve = curves.of(directory, 100)
    assert (curve.rows, curve.is_whole) == (8000, True)


def test_steps_that_do_not_rise(directory: JobDir) -> None:
    """As after a log that was made anew: the last of each number counts."""
    path = steps_of(directory)
    path.parent.mkdir(parents=True)
    writer = RecordWriter(path.parent, Header(1, 1, 0, 1, "npu01", 1, 10**6))
    for place, number in enumerate((1, 2, 3, 2, 3, 4), 1):
        line = StepLine(time=1.5, epoch=1, epochs=1, step=number, steps=10**6, loss=float(place))
        writer.append([LoggedStep(line, 100 * place)], 0)
    curve = Curves().of(directory, 100)
    assert list(zip(curve.number, curve.values["loss"], strict=True)) == [(1, 1), (2, 4), (3, 5), (4, 6)]


def test_a_line_that_is_half_written_is_read_when_it_is_whole(diary: Diary, job: Job, directory: JobDir) -> None:
    """And what is no row at all is left out."""
    record(diary.root.path, job, range(1, 5))
    path = steps_of(directory)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    curves = Curves()
    assert curves.of(directory, 100).rows == 3
    path.write_bytes(content + b"\xff garbage\n{}\n[]\n")
    assert curves.of(directory, 100).rows == 4


def test_memory_is_bounded(diary: Diary, job: Job, directory: JobDir) -> None:
    """By rows, of those that were looked at last; one that was let go is read again."""
    for attempt in range(1, 6):
        record(diary.root.path, job, range(1, 101), attempt=attempt)
    curves = Curves(most_rows=250)
    assert curves.of(directory, 1000).rows == 500
    assert len(curves._kept) == 2
    assert curves.of(directory, 1000).rows == 500
