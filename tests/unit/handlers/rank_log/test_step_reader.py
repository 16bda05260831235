"""Reading steps from a log that grows, each once."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.mindformers.log_lines import LOSS_ON_RANK_0
from handlers.rank_log import step_reader
from handlers.rank_log.step_reader import LoggedStep, StepReader

PREFIX = "2026-11-24 09:14:01,100 - mindformers[callback.py:312] - INFO - "


def step(number: int, *, samples: float | None = 6.5) -> str:
    """Return what a rank logs of a step."""
    text = f"{PREFIX}{{ Epoch:[  1/  2], step:[{number:5d}/   40], loss:[{number}.000/1.000], per_step_time: 12ms, \n"
    return text if samples is None else text + f"{PREFIX}   4.0% |██    | {samples} samples/s/p  0:00:06 }}\n"


class Logs:
    """The logs of ranks, which grow as told."""

    def __init__(self, directory: Path, ranks: int = 1) -> None:
        self.paths = {rank: directory / f"{rank}.log" for rank in range(ranks)}

    def add(self, text: str | bytes, rank: int = 0) -> None:
        """Let a rank log."""
        with self.paths[rank].open("ab") as log:
            log.write(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    """Return the log of one rank."""
    return Logs(tmp_path)


def numbers(steps: list[LoggedStep]) -> list[int]:
    """Return which steps they are."""
    return [logged.step.number for logged in steps]


def all_of(reader: StepReader) -> list[LoggedStep]:
    """Read to the end."""
    found = reader.read()
    while not reader.at_end():
        found += reader.read()
    return found


def test_each_step_comes_once_and_with_its_samples(logs: Logs) -> None:
    """Also when the line that tells them comes later than the step's own."""
    reader = StepReader(logs.paths)
    logs.add(step(1) + "something else\n" + step(2, samples=None))
    assert numbers(reader.read()) == [1]
    logs.add(f"{PREFIX}   4.0% |██    | 7.5 samples/s/p  0:00:06 }}\n")
    (second,) = reader.read()
    assert (second.step.number, second.step.samples) == (2, 7.5)
    assert second.end == logs.paths[0].stat().st_size
    assert reader.read() == []
    assert reader.at_end()


def test_a_version_that_tells_no_samples(logs: Logs) -> None:
    """The step comes when nothing follows it, or another one."""
    reader = StepReader(logs.paths)
    logs.add(step(1, samples=None) + step(2, samples=None))
    assert numbers(reader.read()) == [1]
    assert not reader.at_end()
    assert numbers(reader.read()) == [2]
    assert reader.at_end()


def test_a_line_that_is_being_written_is_left(logs: Logs) -> None:
    """It is read when it is whole."""
    reader = StepReader(logs.paths)
    whole = step(1).encode()
    for byte in range(len(whole)):
        logs.add(whole[byte : byte + 1])
        found = reader.read()
        if found:
            break
    assert byte == len(whole) - 1
    assert found[0].step.samples == 6.5


@pytest.mark.parametrize("samples", (None, 6.5))
def test_a_line_that_stays_without_an_end_holds_nothing_up(logs: Logs, samples: float | None) -> None:
    """A rank was killed within it: the step before comes, and that is all there is."""
    reader = StepReader(logs.paths)
    logs.add(step(1, samples=samples) + PREFIX + "{ Epoch:[  1/  2], st")
    found: list[LoggedStep] = []
    for _ in range(3):
        found += reader.read()
    assert numbers(found) == [1]
    assert reader.at_end()
    logs.add("\n" + step(2))
    assert not reader.at_end()
    assert numbers(all_of(reader)) == [2]


def test_a_look_reads_no_more_than_it_may(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is more comes with the next ones; so does a line that has no end."""
    monkeypatch.setattr(step_reader, "MOST_BYTES", 1000)
    logs.add("".join(map(step, range(1, 21))) + "x" * 5000 + "\n" + step(21))
    reader = StepReader(logs.paths)
    assert len(reader.read()) < 5
    found = all_of(StepReader(logs.paths))
    assert numbers(found) == [*range(1, 22)]


def test_a_log_that_was_emptied_is_read_from_its_beginning(logs: Logs) -> None:
    """Somebody's `> mindformer.log` loses no later step."""
    reader = StepReader(logs.paths)
    logs.add(step(1) + step(2))
    assert numbers(reader.read()) == [1, 2]
    logs.paths[0].write_text(step(3))
    assert numbers(reader.read()) == [3]


def test_the_loss_is_that_of_the_highest_rank(tmp_path: Path) -> None:
    """With pipeline stages only the last rank's loss means something."""
    logs = Logs(tmp_path, 10)
    logs.add(step(1), 0)
    logs.add(step(2), 9)
    reader = StepReader(logs.paths)
    assert reader.rank == 9
    assert numbers(reader.read()) == [2]


def test_the_loss_of_a_zero_bubble_pipeline_is_that_of_rank_0(tmp_path: Path) -> None:
    """Each rank warns of it before its first step."""
    logs = Logs(tmp_path, 4)
    logs.add(step(1), 0)
    logs.add(f"{PREFIX}When {LOSS_ON_RANK_0}\n" + step(2), 3)
    reader = StepReader(logs.paths)
    assert numbers(all_of(reader)) == [1]
    assert reader.rank == 0


def test_other_ranks_can_be_asked(tmp_path: Path) -> None:
    """One after the other, from the highest down."""
    logs = Logs(tmp_path, 2)
    logs.add("nothing\n", 1)
    logs.add(step(1), 0)
    reader = StepReader(logs.paths)
    assert all_of(reader) == []
    assert reader.turn_to_next_rank()
    assert numbers(all_of(reader)) == [1]
    assert not reader.turn_to_next_rank()


def test_what_cannot_be_read_is_read_later(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error changes nothing; a log that is not there yet is one."""
    reader = StepReader(logs.paths)
    with pytest.raises(FileNotFoundError):
        reader.read()
    logs.add(step(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(OSError, match="Input/output"):
            reader.read()
    assert numbers(reader.read()) == [1]


@given(st.lists(st.integers(1, 200), max_size=30), st.binary(max_size=200))
def test_however_a_log_comes_it_tells_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], noise: bytes
) -> None:
    """In whatever pieces, and whatever bytes stand in front."""
    content = noise.replace(b"step", b"") + b"\n" + "".join(map(step, range(1, 5))).encode()
    logs = Logs(tmp_path_factory.mktemp("logs"))
    logs.add(b"")
    reader, found, place = StepReader(logs.paths), [], 0
    for cut in (*cuts, len(content)):
        logs.add(content[place : place + cut])
        place += cut
        found += reader.read()
    found += all_of(reader)
    assert numbers(found) == [1, 2, 3, 4]
    whole = StepReader(logs.paths)
    assert [logged.step.loss for logged in all_of(whole)] == [logged.step.loss for logged in found]
