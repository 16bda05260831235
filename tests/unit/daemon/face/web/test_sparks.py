"""Promises of daemon.face.web.sparks: a curve of one line goes with its training, and is not read for each step."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.states import Job
from daemon.face.training import training_of
from daemon.face.web import sparks
from daemon.face.web.sparks import Sparks
from handlers.records.job_dir import JobDir
from handlers.training_record.training import Training
from tests.unit.daemon.face.diary import Diary
from tests.unit.daemon.face.web.visitor import record

Reads = list[JobDir]


@pytest.fixture
def job(diary: Diary) -> Job:
    """Return a job that may train."""
    return diary.job("run", datetime.now(UTC))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    """Return what was read."""
    found = Reads()

    def read(directory: JobDir, at_most: int | None = None) -> Training | None:
        found.append(directory)
        return training_of(directory, at_most)

    monkeypatch.setattr(sparks, "training_of", read)
    return found


def test_a_short_training_is_read_with_each_step(diary: Diary, job: Job, reads: Reads) -> None:
    """And not where there is no other one; before its first step there is nothing."""
    root, kept = diary.root.path, Sparks()
    directory = job.directory(root)
    assert list(kept.of(directory)) == []
    for steps in range(1, 6):
        record(root, job, range(steps, steps + 1))
        assert [len(kept.of(directory)) for _ in range(3)] == [steps] * 3
    assert len(reads) == 6


def test_a_long_training_is_read_when_it_is_longer_by_what_is_seen(diary: Diary, job: Job, reads: Reads) -> None:
    """A sixty-fourth."""
    root, kept = diary.root.path, Sparks()
    directory = job.directory(root)
    record(root, job, range(1, 1001))
    kept.of(directory)
    for step in range(1001, 1006):
        record(root, job, range(step, step + 1))
        kept.of(directory)
    assert len(reads) == 1
    record(root, job, range(1006, 1031))
    assert kept.of(directory)[-1] == pytest.approx(9.0 / 1030, abs=1e-4)
    assert len(reads) == 2


def test_another_attempt_is_read_at_once(diary: Diary, job: Job, reads: Reads) -> None:
    """What was trained in vain is not shown as what counts."""
    root, kept = diary.root.path, Sparks()
    directory = job.directory(root)
    record(root, job, range(1, 1001))
    kept.of(directory)
    record(root, job, range(5, 6), attempt=2, loss=50.0)
    assert [round(loss, 1) for loss in kept.of(directory)] == [9.0, 10.0]
    assert len(reads) == 2


def test_a_record_that_was_made_shorter_is_read_at_once(diary: Diary, job: Job, reads: Reads) -> None:
    """As one that is thinned."""
    root, kept = diary.root.path, Sparks()
    directory = job.directory(root)
    record(root, job, range(1, 201))
    kept.of(directory)
    path: Path = next(directory.path.glob("attempts/1/train/steps.jsonl"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert len(kept.of(directory)) == 2
    assert len(reads) == 2


def test_so_many_are_kept_at_most(tmp_path: Path) -> None:
    """Of a root with ever other jobs."""
    kept = Sparks()
    for number in range(sparks._MOST + 10):
        kept.of(JobDir(tmp_path / str(number)))
    assert len(kept._kept) == sparks._MOST
