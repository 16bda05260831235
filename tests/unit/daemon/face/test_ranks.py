"""The ranks of a training beside each other."""

import os
import time
from pathlib import Path

import pytest

from daemon.core.states import Job
from daemon.core.store import Store
from daemon.face.ranks import ranks_of, slowest
from tests.unit.daemon.commands.trained import log_lines
from tests.unit.daemon.face.diary import TRAINING, Diary, utc


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return a store."""
    return Diary(tmp_path / "glm")


SLOW = "per_step_time: 900ms"


def training(diary: Diary, *logs: str | None) -> Job:
    """Return a job with such logs of its ranks."""
    job = diary.job("run", utc("2026-11-28 02:00"), *TRAINING)
    diary.sql("UPDATE jobs SET devices = ? WHERE id = ?", str(list(range(4, 4 + len(logs)))), job.id)
    with Store.open(diary.root.store) as store:
        job = store.job(job.id)
    for rank, log in enumerate(logs):
        path = job.directory(diary.root.path).rank_log(rank)
        path.parent.mkdir(parents=True)
        if log is not None:
            path.write_text(log)
    return job


def test_who_is_behind(diary: Diary) -> None:
    """By the step that each has told of last; one step is a matter of who wrote first."""
    logs = [log_lines(range(1, last + 1)) for last in (9, 8, 5)]
    job = training(diary, *logs, None)
    os.utime(job.directory(diary.root.path).rank_log(0), (time.time() - 100,) * 2)
    found = ranks_of(job, diary.root.path)
    assert [(rank.rank, rank.device, rank.number, rank.behind, rank.lags) for rank in found] == [
        (0, 4, 9, 0, False),
        (1, 5, 8, 1, False),
        (2, 6, 5, 4, True),
        (3, 7, None, 9, True),
    ]
    assert 99 < (found[0].quiet or 0) < 130
    assert found[3].quiet is None
    assert found[0].line.endswith("0:00:06 }")
    assert found[0].number == 9


def test_who_takes_longer(diary: Diary) -> None:
    """A fifth longer a step than most; nobody where there is nobody to be held against."""
    quick = log_lines(range(1, 9))
    slow = quick.replace("per_step_time: 500ms", SLOW)
    found = ranks_of(training(diary, quick, slow, quick), diary.root.path)
    assert slowest(found) is found[1]
    assert slowest(found[:1]) is None
    assert slowest(found[::2]) is None
    assert slowest(()) is None
