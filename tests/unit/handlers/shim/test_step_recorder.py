"""The record that a shim keeps of a training: whole at its end, and never its failure."""

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import Outcome
from handlers.shim import step_recorder
from handlers.shim.instance import StepRun
from handlers.shim.step_recorder import StepRecorder, recorder_of
from handlers.training_record.record import NAME, read

from .test_run import ended, finish, start

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

PRINT = """
def step(number):
    text = "{ Epoch:[  1/  2], step:[%5d/   40], loss:[%d.000/1.000], per_step_time: 12ms, "
    print(text % (number, number), flush=True)
    print("   4.0% |██    | 6.46 samples/s/p  0:00:06 }", flush=True)
"""


class Events:
    """A log that remembers."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def info(self, event: str, /, **_fields: object) -> None:
        """Remember."""
        self.names.append(event)

    warning = error = exception = info


def losses(directory: JobDir, attempt: int = 1) -> list[float]:
    """Return the losses that are recorded."""
    return [row.step.loss for row in read(directory.step(attempt, Step.TRAIN).path / NAME)]


def recorder(workshop: "Workshop", events: Events, ranks: int = 1) -> StepRecorder:
    """Return a recorder of a training that a test plays."""
    workshop.job_dir.step(1, Step.TRAIN).path.mkdir(parents=True)
    found = recorder_of(StepRun(workshop.job_dir, 1, Step.TRAIN), workshop.train(*["pass"] * ranks), events)
    assert found is not None
    return found


def prints(workshop: "Workshop", *numbers: int, rank: int = 0, loss: str = "") -> None:
    """Let a rank have logged steps, each with its number as the loss if no other is given."""
    log = workshop.job_dir.rank_log(rank)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        for number in numbers:
            told = loss or f"{number}.000"
            stream.write(f"{{ Epoch:[  1/  2], step:[{number:5d}/   40], loss:[{told}/1.0], per_step_time: 9ms, \n")
            stream.write("   4.0% |██    | 6.46 samples/s/p  0:00:06 }\n")


@pytest.mark.parametrize(("end", "outcome"), (("", Outcome.COMPLETED), ("sys.exit('Error: no data')", Outcome.FAILED)))
def test_steps_are_recorded_while_they_come_and_to_the_last(workshop: "Workshop", end: str, outcome: Outcome) -> None:
    """A step can be read a look after it was printed; the one before the end, too, however that is."""
    script = f"{PRINT}\nstep(1)\nwhile not Path('go').exists(): time.sleep(0.01)\nstep(2)\nstep(3)\n{end}"
    workshop.publish(workshop.train("pass", script))
    shim = start(workshop)
    record = workshop.job_dir.step(1, Step.TRAIN).path / NAME
    workshop.eventually(lambda: record.exists() and losses(workshop.job_dir) == [1.0], "the first step is recorded")
    (workshop.job_dir.output / "work" / "rank_1" / "go").touch()
    finish(shim)
    assert ended(workshop).outcome is outcome
    rows = list(read(record))
    assert [row.step.loss for row in rows] == [1.0, 2.0, 3.0]
    assert [row.step.samples for row in rows] == [6.46] * 3
    header = rows[0].header
    assert (header.job, header.attempt, header.rank, header.devices) == (42, 1, 1, 2)
    assert (header.epochs, header.steps, header.host) == (2, 40, os.uname().nodename)
    assert rows[-1].at == workshop.job_dir.rank_log(1).read_bytes().rindex(b" }\n") + 3


def test_a_training_without_steps_leaves_no_record(workshop: "Workshop") -> None:
    """There is nothing to show of it."""
    workshop.publish(workshop.train("print('nothing')"))
    assert finish(start(workshop))[0] == 0
    assert not list(workshop.job_dir.step(1, Step.TRAIN).path.glob("*steps*"))


def test_another_rank_answers_where_the_last_one_says_nothing(workshop: "Workshop") -> None:
    """At the end: a rank whose log is not for MindFormers to write loses no curve."""
    prints(workshop, 1, 2, rank=0)
    found = recorder(workshop, Events(), ranks=3)
    found.look()
    found.finish()
    assert losses(workshop.job_dir) == [1.0, 2.0]


@pytest.mark.parametrize("number", (errno.ENOSPC, errno.EIO, errno.EDQUOT))
def test_a_disk_that_is_full_for_long(workshop: "Workshop", monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing is raised, it is said once, and when there is room all steps are there, in order and once."""
    events = Events()
    found = recorder(workshop, events)
    prints(workshop, 1)
    assert found.look()

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        for step in range(2, 9):
            prints(workshop, step)
            assert not found.look()
    assert events.names == ["steps_not_recorded"]
    found.finish()
    assert events.names == ["steps_not_recorded", "steps_recorded_again"]
    assert losses(workshop.job_dir) == [*map(float, range(1, 9))]


def test_a_directory_that_is_away_for_a_while(workshop: "Workshop") -> None:
    """It makes no directory of its own there, and goes on when that is back."""
    events = Events()
    found = recorder(workshop, events)
    prints(workshop, 1)
    found.look()
    away = workshop.job_dir.path.rename(workshop.job_dir.path.with_name("away"))
    assert not found.look()
    assert not workshop.job_dir.path.exists()
    away.rename(workshop.job_dir.path)
    prints(workshop, 2)
    assert found.look()
    assert losses(workshop.job_dir) == [1.0, 2.0]
    assert events.names == []


def test_a_defect_of_the_record_ends_the_record_alone(workshop: "Workshop", monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told with its traceback, once."""
    events = Events()
    found = recorder(workshop, events)
    prints(workshop, 1)
    monkeypatch.setattr(step_recorder.RecordWriter, "append", lambda *_: 1 // 0)
    for _ in range(3):
        assert not found.look()
    found.finish()
    assert events.names == ["step_record_broke"]


def test_a_look_is_bounded(workshop: "Workshop") -> None:
    """A log of hundreds of MiB, which a rank wrote while the shim was stopped, say, is caught up with by and by."""
    found = recorder(workshop, Events())
    log = workshop.job_dir.rank_log(0)
    log.parent.mkdir(parents=True)
    with log.open("wb") as stream:
        stream.truncate(1 << 30)
    began = time.process_time()
    assert found.look()
    assert time.process_time() - began < 2


def test_a_fifo_in_the_place_of_a_log_is_not_waited_for(workshop: "Workshop") -> None:
    """Nor one in the place of the record."""
    found = recorder(workshop, Events())
    path = workshop.job_dir.step(1, Step.TRAIN).path / NAME
    os.mkfifo(path)
    prints(workshop, 1)
    assert not found.look()
    path.unlink()
    assert found.look()
    assert losses(workshop.job_dir) == [1.0]


def test_a_full_disk_hides_no_divergence(workshop: "Workshop", monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are read and judged though not one can be recorded; when there is room all are, in order and once."""
    found = recorder(workshop, Events())

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        prints(workshop, 1)
        assert not found.look()
        prints(workshop, *range(2, 22), loss="  nan")
        assert not found.look()
        found.look()
        assert found.diverged is not None
    assert (found.diverged.since.number, found.diverged.sound) == (2, 1)
    found.finish()
    assert len(losses(workshop.job_dir)) == 21


def test_what_waits_to_be_recorded_is_bounded(workshop: "Workshop", monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes beyond is judged and left out, which is said once, and the record goes on when there is room."""
    monkeypatch.setattr(step_recorder, "MOST_WAITING", 5)
    events = Events()
    found = recorder(workshop, events)

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        for number in range(1, 31):
            prints(workshop, number, loss="" if number < 9 else "inf")
            assert not found.look()
    assert found.diverged is not None
    assert found.diverged.since.number == 9
    found.look()
    prints(workshop, 31)
    found.finish()
    assert losses(workshop.job_dir) == [1.0, 2.0, 3.0, 4.0, 5.0, 31.0]
    assert events.names == ["steps_not_recorded", "steps_left_out", "steps_recorded_again"]


def test_a_defect_of_the_record_hides_no_divergence(workshop: "Workshop", monkeypatch: pytest.MonkeyPatch) -> None:
    """And one of the judge ends neither the record nor the training."""
    monkeypatch.setattr(step_recorder.RecordWriter, "append", lambda *_: 1 // 0)
    found = recorder(workshop, Events())
    prints(workshop, *range(1, 25), loss="nan")
    found.look()
    found.look()
    assert found.diverged is not None


@pytest.mark.parametrize(
    ("of", "name", "event", "recorded"),
    (
        (step_recorder.DivergenceWatch, "take", "divergence_watch_broke", [1.0, 2.0]),
        (step_recorder.StepReader, "read", "step_reading_broke", []),
    ),
)
def test_a_defect_of_reading_and_judging_ends_no_training(
    workshop: "Workshop", monkeypatch: pytest.MonkeyPatch, of: type, name: str, event: str, recorded: list[float]
) -> None:
    """It is told with its traceback, once."""
    events = Events()
    found = recorder(workshop, events)
    monkeypatch.setattr(of, name, lambda *_: 1 // 0)
    prints(workshop, 1, 2)
    for _ in range(3):
        found.look()
    found.finish()
    assert events.names == [event]
    assert found.diverged is None
    assert (losses(workshop.job_dir) if recorded else []) == recorded
