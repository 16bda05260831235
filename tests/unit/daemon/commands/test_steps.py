"""Promises of `glmd steps`."""

import csv
import json
import os
import subprocess

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord
from handlers.training_record.record import EVENTS, NAME
from tests.unit.daemon.commands.conftest import Site, environment
from tests.unit.daemon.commands.trained import DONE, log_lines, record


def test_each_step_is_a_line(site: Site) -> None:
    """With its numbers, of all devices where they are a rate."""
    job = site.add("a", *DONE)
    record(site, job, range(1, 4), samples=6.5, milliseconds=500, overflow=True)
    shown = site.glmd("steps", "1")
    assert shown.returncode == 0, shown.stderr
    header, first, *others = shown.stdout.splitlines()
    assert header.split()[:3] == ["STEP", "EPOCH", "LOSS"]
    assert first.split() == ["1", "1/31", "9", "0.5", "13", "yes", "1"]
    assert len(others) == 2


def test_attempts_are_one_training(site: Site) -> None:
    """What a later attempt did anew counts, whatever the one before had come to."""
    job = site.add("a", *DONE)
    record(site, job, range(1, 9))
    record(site, job, range(5, 13), attempt=2, loss=90.0)
    told = json.loads(site.glmd("steps", "1", "--json").stdout)
    assert [(row["n"], row["attempt"]) for row in told["recorded"]] == [
        *((number, 1) for number in range(1, 5)),
        *((number, 2) for number in range(5, 13)),
    ]
    assert (told["steps"], told["planned"], told["rows"], told["devices"]) == (12, 124, 12, 2)
    assert (told["first_loss"], told["last_loss"]) == (9.0, 7.5)


def test_csv_is_read_by_any_program(site: Site) -> None:
    """With the keys of steps.jsonl as header, and nothing where nothing was said."""
    job = site.add("a", *DONE)
    record(site, job, range(1, 3), loss=float("nan"), overflow=False, lm_loss=1.5)
    rows = list(csv.DictReader(site.glmd("steps", "1", "--csv").stdout.splitlines()))
    assert [(row["n"], row["loss"], row["over"], row["lm"], row["norm"]) for row in rows] == [
        ("1", "nan", "0", "1.5", ""),
        ("2", "nan", "0", "1.5", ""),
    ]


def test_nan_stays_json(site: Site) -> None:
    """It is a word there, and null where one number stands for the training."""
    job = site.add("a", *DONE)
    record(site, job, range(1, 3), loss=float("nan"))
    told = json.loads(site.glmd("steps", "1", "--json").stdout, parse_constant=pytest.fail)
    assert told["recorded"][0]["loss"] == "nan"
    assert told["last_loss"] is None


def test_a_job_without_a_record_says_how_to_get_one(site: Site) -> None:
    """It may be older than the records; one that has not begun has to wait."""
    site.add("old", *DONE)
    site.add("waits")
    old, waits = site.glmd("steps", "1"), site.glmd("steps", "2")
    assert (old.returncode, waits.returncode) == (2, 2)
    assert "glmd steps rebuild 1" in old.stderr
    assert "is queued" in waits.stderr


def test_an_old_jobs_record_is_made_of_its_logs(site: Site) -> None:
    """Of each attempt, also one whose output was put aside when the next began; and it is as the shim's would be."""
    job = site.add("old", *DONE)
    directory = job.directory(site.root.path)
    for attempt, output, numbers in (
        (1, directory.earlier_output(1), range(1, 9)),
        (2, directory.output, range(5, 13)),
    ):
        directory.step(attempt, Step.TRAIN).path.mkdir(parents=True)
        for rank in (0, 1):
            log = output / "log" / f"rank_{rank}" / "mindformer.log"
            log.parent.mkdir(parents=True)
            log.write_text(log_lines(numbers, loss=9.0 + rank))
    done = site.glmd("steps", "rebuild", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0001-old: attempt 1: 8 steps, attempt 2: 8 steps\n"
    told = json.loads(site.glmd("steps", "1", "--json").stdout)
    assert [row["n"] for row in told["recorded"]] == [*range(1, 13)]
    assert told["recorded"][0]["loss"] == 10.0
    assert told["recorded"][0]["sps"] == 6.46
    step = directory.step(2, Step.TRAIN).path
    before = sorted(path.name for path in step.iterdir())
    assert [name.startswith(EVENTS) for name in before] == [True, False]
    assert before[1] == NAME
    assert site.glmd("steps", "rebuild", "--all").stdout == done.stdout
    assert [path.name for path in sorted(step.iterdir())][1:] == [NAME]
    assert len(list(step.iterdir())) == 2


def test_a_rebuild_without_steps_changes_nothing(site: Site) -> None:
    """A record whose logs are gone is better than none."""
    job = site.add("a", *DONE)
    record(site, job, range(1, 3))
    done = site.glmd("steps", "rebuild", "1")
    assert (done.returncode, done.stdout) == (0, "0001-a: its logs show no step; nothing was changed\n")
    assert site.glmd("steps", "1").returncode == 0


def test_a_record_that_a_shim_writes_is_left_to_it(site: Site) -> None:
    """Two writers would cut each other off."""
    job = site.add("a", State.PREPARING, State.TRAINING)
    record(site, job, range(1, 3))
    step = job.directory(site.root.path).step(1, Step.TRAIN)
    identity = ProcessIdentity.of(os.getpid())
    ShimRecord(**vars(identity), started="2026-11-28T00:00:00Z").publish(step.shim)
    done = site.glmd("steps", "rebuild", "1")
    assert done.returncode == 3
    assert f"its shim (pid {os.getpid()}) writes the record" in done.stderr
    every = site.glmd("steps", "rebuild", "--all")
    assert every.returncode == 0
    assert "left as it is" in every.stdout


@pytest.mark.parametrize(
    "words", (("1", "2"), ("rebuild",), ("rebuild", "1", "--all"), ("1", "--csv", "--json"), (), ("--all", "1"))
)
def test_words_that_mean_nothing(site: Site, words: tuple[str, ...]) -> None:
    """They are refused, and nothing is done."""
    site.add("a", *DONE)
    assert site.glmd("steps", *words).returncode == 2


def test_steps_are_followed_until_the_job_is_over(site: Site) -> None:
    """Also those of an attempt that begins meanwhile; each is shown once."""
    job = site.add("a", State.PREPARING, State.TRAINING)
    record(site, job, range(1, 4))
    with subprocess.Popen(
        site.command("steps", "1", "-f"), stdout=subprocess.PIPE, text=True, env=environment()
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline().split()[:2] == ["STEP", "EPOCH"]
        assert [following.stdout.readline().split()[0] for _ in range(3)] == ["1", "2", "3"]
        record(site, job, range(3, 6), attempt=2)
        assert [following.stdout.readline().split()[0] for _ in range(3)] == ["3", "4", "5"]
        site.move(job, State.FAILED)
        assert following.stdout.read() == ""
        assert following.wait(60) == 0
