"""Whatever call fails while the shim starts its ranks and writes its records: a training is not lost for it."""

import errno
import os
import subprocess
import sys
import time
import warnings
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pytest

from benchmarks.places import bring_back
from handlers.codes import Code
from handlers.records.job_dir import Step
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit
from handlers.shim import patience, run
from handlers.shim.home import MOVING
from handlers.training_record.record import NAME, read, stitched
from tests.faults.injection import Call, Injection

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

CASES = (
    (Call.OPEN, errno.EMFILE, 1, "attempts"),
    (Call.WRITE, errno.ENOSPC, 1, "attempts"),
    (Call.WRITE, errno.ENOSPC, 5, "attempts"),
    (Call.FSYNC, errno.EIO, 1, "attempts"),
    (Call.OPEN, errno.ENOENT, 1, "attempts"),
    (Call.RENAME, errno.ENOENT, 2, "attempts"),
    (Call.RENAME, errno.EDQUOT, 3, "attempts"),
    (Call.OPEN, errno.ENOSPC, 3, "output/log"),
    (Call.RENAME, errno.EDQUOT, 1, "output/log"),
    (Call.MKDIR, errno.ENOSPC, 3, "output/work"),
)
NOT_HIT = 77


def shim_with(injection: Injection, workshop: "Workshop", attempt: int, patch: pytest.MonkeyPatch) -> int:
    """Run a shim as a process of its own, with a fault in it; return its exit code, or NOT_HIT when no call was hit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: this process may have threads
        pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 70
    try:
        patch.setattr(patience, "FIRST_PAUSE", 0.01)
        patch.setattr(patience, "LONGEST_PAUSE", 0.01)
        injection.install(patch)
        injection.is_armed = True
        code = run.main([str(workshop.job_dir.path), str(attempt), Step.TRAIN])
        code = NOT_HIT if code == 0 and not injection.fired else code
    finally:
        os._exit(code)


@pytest.mark.parametrize(("call", "number", "times", "below"), CASES)
def test_a_training_is_not_lost_for_its_records(
    workshop: "Workshop", monkeypatch: pytest.MonkeyPatch, call: Call, number: int, times: int, below: str
) -> None:
    """One call fails, or several one after the other, wherever they come: the end is known, and nothing is partial."""
    train = workshop.train("print()")
    log = workshop.job_dir.rank_log(0)
    log.parent.mkdir(parents=True)
    log.write_text("an earlier attempt's")
    for first in count(1):
        directory = workshop.job_dir.step(first, Step.TRAIN)
        workshop.publish(train, attempts=(first,))
        injection = Injection(call, number, first, workshop.job_dir.path / below, times)
        code = shim_with(injection, workshop, first, monkeypatch)
        assert code in {run.EXIT_COMPLETED, NOT_HIT}
        assert StepExit.read(directory.exit).outcome is Outcome.COMPLETED
        assert ShimRecord.read(directory.shim)
        records = ["environment.json", "exit.json", "lock", "shim.json"]
        assert sorted(path.name for path in directory.path.iterdir()) == records
        if code == NOT_HIT:
            break
    assert first > 1, "no call was hit"


RECORD_CASES = (
    (Call.OPEN, errno.EMFILE, 1, "attempts"),
    (Call.OPEN, errno.EIO, 2, "attempts"),
    (Call.WRITE, errno.ENOSPC, 1, "attempts"),
    (Call.WRITE, errno.EIO, 2, "attempts"),
    (Call.WRITE, errno.EDQUOT, 2, "attempts"),
    (Call.OPEN, errno.EMFILE, 2, "output/log"),
    (Call.OPEN, errno.EIO, 1, "output/log"),
)
STEPS = """
for number in range(1, 4):
    print("{ Epoch:[  1/  2], step:[%5d/   40], loss:[%d.000/1.000], per_step_time: 12ms, " % (number, number))
"""


@pytest.mark.parametrize(("call", "number", "times", "below"), RECORD_CASES)
def test_a_training_is_not_lost_for_the_record_of_its_steps(
    workshop: "Workshop", monkeypatch: pytest.MonkeyPatch, call: Call, number: int, times: int, below: str
) -> None:
    """Whichever call fails while steps are recorded: the training completes, and each step is recorded once."""
    train = workshop.train(STEPS)
    for first in count(1):
        directory = workshop.job_dir.step(first, Step.TRAIN)
        workshop.publish(train, attempts=(first,))
        workshop.job_dir.rank_log(0).unlink(missing_ok=True)
        injection = Injection(call, number, first, workshop.job_dir.path / below, times)
        code = shim_with(injection, workshop, first, monkeypatch)
        assert code in {run.EXIT_COMPLETED, NOT_HIT}
        assert StepExit.read(directory.exit).outcome is Outcome.COMPLETED
        rows = stitched(read(directory.path / NAME))
        assert [row.step.number for row in rows] == [1, 2, 3]
        assert len(list(read(directory.path / NAME))) == 3
        if code == NOT_HIT:
            break
    assert first > 1, "no call was hit"


@pytest.mark.parametrize("number", (errno.ENOSPC, errno.EDQUOT, errno.EIO))
@pytest.mark.parametrize("loss", ("nan", "1.000"))
def test_a_full_disk_for_the_record_hides_no_divergence_and_ends_no_training(
    workshop: "Workshop", monkeypatch: pytest.MonkeyPatch, number: int, loss: str
) -> None:
    """Not one step can be recorded from the first on, for good: what diverges is ended, what does not completes."""
    lost = loss == "nan"
    steps = f"""
for number in range(1, 41):
    print("{{ Epoch:[  1/  2], step:[%5d/   40], loss:[{loss}/1.000], per_step_time: 12ms, " % number, flush=True)
{"time.sleep(600)" if lost else ""}
"""
    workshop.publish(workshop.train(steps))
    directory = workshop.job_dir.step(1, Step.TRAIN)
    injection = Injection(Call.WRITE, number, 1, directory.path / NAME, count=1_000_000)
    code = shim_with(injection, workshop, 1, monkeypatch)
    end = StepExit.read(directory.exit)
    assert code == (run.EXIT_NOT_COMPLETED if lost else run.EXIT_COMPLETED)
    assert end.code == (Code.TRAINING_DIVERGED if lost else "")
    assert [exit_.signal for exit_ in end.processes] == ["SIGTERM" if lost else None]
    assert list(read(directory.path / NAME)) == []


def test_a_directory_may_be_moved_away_and_back_at_any_moment(workshop: "Workshop") -> None:
    """Above all while its shim begins and ends: the end is known, or at least that no step has begun."""
    chance, there, away = Random(1), workshop.job_dir.path, workshop.job_dir.path.parent / "away"  # noqa: S311
    for attempt in range(1, 13):
        workshop.publish(workshop.train("pass"), attempts=(attempt,))
        command = [sys.executable, "-m", "handlers.shim", str(there), str(attempt), Step.TRAIN]
        shim = subprocess.Popen(command, stderr=subprocess.PIPE)
        while shim.poll() is None:
            there.rename(away)
            time.sleep(chance.uniform(0, 0.01))
            bring_back(away, there)
            time.sleep(chance.uniform(0, 0.02))
        _, said = shim.communicate()
        assert workshop.job_dir.step(attempt, Step.TRAIN).exit.exists(), said.decode()


def test_a_shim_that_is_to_begin_waits_for_the_root(workshop: "Workshop") -> None:
    """Longer than for its own directory, of which the daemon says that it is gone."""
    workshop.publish(workshop.train("pass"))
    jobs = workshop.job_dir.path.parent
    away = jobs.rename(jobs.with_name("away"))
    command = [sys.executable, "-m", "handlers.shim", str(workshop.job_dir.path), "1", Step.TRAIN]
    shim = subprocess.Popen(command)
    with pytest.raises(subprocess.TimeoutExpired):
        shim.wait(MOVING + 2)
    away.rename(jobs)
    assert shim.wait(30) == run.EXIT_COMPLETED
