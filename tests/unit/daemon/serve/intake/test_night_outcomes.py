"""What became of each night is kept: dropped, caught up, skipped, failed; with its job, and once."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.night_runs import BY_HAND, NightRun, Outcome
from daemon.core.root import Root
from daemon.core.setting_sections import NightlySettings
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from daemon.serve.intake.night_outcomes import MOST_MISSED
from daemon.serve.intake.nightly import AGAIN, Cycles
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from handlers.codes import Code
from handlers.inputs.noting import note, trained_on
from handlers.merging.merge import run as merge_run
from handlers.records.merge_plan import MergePlan
from tests.unit.daemon.at_once import at_once
from tests.unit.daemon.core.test_migrations import build
from tests.unit.handlers.ckpt.ckpt_writer import small_run


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Return a time in November 2026."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


class Nights:
    """A cycle at two every night, whose drops are taken in when a test says so."""

    def __init__(self, path: Path) -> None:
        self.path, self.root = path, Root(path / "root")
        self.root.create()
        self.store = Store.open(self.root.store)
        self.template = path / "template.yaml"
        self.template.write_text("run_mode: finetune\n")
        self.restart()

    def restart(self, cron: str = "0 2 * * *", **changed: object) -> None:
        """Do what a new daemon does, and one that reads changed settings."""
        entry = {"name": "glm", "cron": cron, "timezone": "UTC", "template": self.template, "continue_from": None}
        cycle = NightlySettings.model_validate(entry | changed)
        self.cycles = Cycles([cycle], self.root, self.store, Faults(), at_once)

    def turn(self, now: datetime) -> None:
        """Let the cycles turn at `now`."""
        self.cycles.turn(Moment(0.0, now))

    def run(self, day: int) -> NightRun | None:
        """Return what is kept of the night of a day."""
        return self.store.night("glm", at(day, 2))

    def outcome(self, day: int) -> Outcome | None:
        """Return how it ended."""
        run = self.run(day)
        return run and run.outcome

    def take_in(self, *ways: State) -> Job:
        """Do what the intake does with the one dropped file; let its job go these ways."""
        (path,) = self.root.inbox.iterdir()
        job = self.store.add(NewJob.of_drop(f"claim of {path.name} {path.stat().st_mtime_ns}", path.name))
        path.unlink()
        for state in ways:
            job = self.store.move(job, state)
        return job


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    """Return the nights that a test works on, a cycle seen first on the evening of the 19th."""
    nights = Nights(tmp_path)
    nights.turn(at(19, 20))
    yield nights
    nights.store.close()


def rows(nights: Nights) -> int:
    """Return how much is kept."""
    (count,) = nights.store._connection.execute("SELECT COUNT(*) FROM nightly_runs").fetchone()
    return int(count)


def test_a_new_cycle_has_no_nights(nights: Nights) -> None:
    """What would have come before it was there did not become anything."""
    assert rows(nights) == 0


def test_a_night_is_dropped_and_becomes_a_job(nights: Nights) -> None:
    """It is known which as soon as it is one, also when it was rejected."""
    nights.turn(at(20, 2))
    assert nights.run(20) == NightRun("glm", at(20, 2), at(20, 2), Outcome.DROPPED)
    job = nights.take_in(State.CANCELLED)
    assert nights.run(20) == NightRun("glm", at(20, 2), at(20, 2), Outcome.DROPPED, job.id)
    nights.turn(at(21, 2, 1))
    (path,) = nights.root.inbox.iterdir()
    rejected = nights.store.add(NewJob.of_drop("another", path.name), State.REJECTED, "why not", "x.y")
    run = nights.run(21)
    assert run is not None
    assert (run.outcome, run.job) == (Outcome.DROPPED, rejected.id)


def test_a_job_that_is_there_first_is_found(nights: Nights) -> None:
    """The intake may take a file before the cycle hears that it was dropped; or a crash comes between."""
    nights.turn(at(20, 2))
    job = nights.take_in(State.CANCELLED)
    nights.store._connection.execute("DELETE FROM nightly_runs")
    nights.store.set_last_due("glm", at(19, 2), "0 2 * * *")
    nights.restart()
    nights.turn(at(20, 2, 1))
    assert nights.run(20) == NightRun("glm", at(20, 2), at(20, 2, 1), Outcome.DROPPED, job.id)


@pytest.mark.parametrize(("minutes", "outcome"), ((0, Outcome.DROPPED), (4, Outcome.DROPPED), (5, Outcome.CAUGHT_UP)))
def test_a_late_night_was_caught_up(nights: Nights, minutes: int, outcome: Outcome) -> None:
    """Some minutes are the loop's and a slow disk's; more is a daemon that was not there."""
    nights.turn(at(20, 2, minutes))
    assert nights.outcome(20) is outcome


def test_nights_that_are_not_made_up_are_skipped(nights: Nights) -> None:
    """Each with the reason, and the one that stands for it."""
    nights.turn(at(23, 9))
    assert nights.outcome(23) is Outcome.CAUGHT_UP
    for day in (20, 21, 22):
        run = nights.run(day)
        assert run is not None
        assert (run.outcome, run.job, run.code) == (Outcome.SKIPPED, None, Code.NIGHT_MISSED)
        assert run.reason == "glmd did not run then; the run of 2026-11-23 02:00 UTC replaces it"
    assert rows(nights) == 4


def test_after_years_only_the_newest_are_kept(nights: Nights) -> None:
    """The oldest of them says that there were more; a cycle of every minute costs no more."""
    for cron, last in (("0 2 * * *", datetime(2023, 1, 1, 2, tzinfo=UTC)), ("* * * * *", at(1, 0))):
        nights.store._connection.execute("DELETE FROM nightly_runs")
        nights.store.set_last_due("glm", last, cron)
        nights.restart(cron)
        nights.turn(at(25, 9))
        assert rows(nights) == MOST_MISSED + 1
        oldest = nights.store._connection.execute("SELECT reason FROM nightly_runs ORDER BY due").fetchall()
        assert [f"since {last:%Y-%m-%d %H:%M}" in reason for (reason,) in oldest] == [True] + [False] * MOST_MISSED
        (nights.root.inbox / next(iter(os.listdir(nights.root.inbox)))).unlink()  # noqa: PTH208 - the one file


def test_exactly_as_many_as_are_kept_hide_none(nights: Nights) -> None:
    """Nobody is told of more where there are none."""
    nights.store.set_last_due("glm", at(25, 2) - timedelta(days=MOST_MISSED + 1), "0 2 * * *")
    nights.turn(at(25, 3))
    assert rows(nights) == MOST_MISSED + 1
    assert not nights.store._connection.execute("SELECT 1 FROM nightly_runs WHERE reason LIKE '%since%'").fetchall()


def test_a_run_before_that_is_not_over_skips_a_night(nights: Nights) -> None:
    """With its code."""
    nights.turn(at(20, 2))
    nights.take_in()
    nights.turn(at(21, 2))
    assert nights.run(21) == NightRun(
        "glm", at(21, 2), at(21, 2), Outcome.SKIPPED, None, "the run before is not over", Code.NIGHT_SKIPPED
    )


def test_a_night_that_fails_is_caught_up(nights: Nights) -> None:
    """Failed as long as it is tried again, and with why; caught up when it succeeds, however soon."""
    text = nights.template.read_text()
    nights.template.unlink()
    nights.turn(at(20, 2))
    run = nights.run(20)
    assert run is not None
    assert (run.outcome, run.at, run.code) == (Outcome.FAILED, at(20, 2), Code.NIGHT_TEMPLATE)
    assert "cannot be read" in run.reason
    nights.turn(at(20, 2) + AGAIN)
    assert nights.run(20) == run, "nothing new to be kept"
    nights.template.write_text(text)
    nights.turn(at(20, 2) + 2 * AGAIN)
    assert nights.run(20) == NightRun("glm", at(20, 2), at(20, 2) + 2 * AGAIN, Outcome.CAUGHT_UP)


def test_a_night_that_failed_until_the_next_one_came_says_why(nights: Nights) -> None:
    """It is no longer tried."""
    text = nights.template.read_text()
    nights.template.unlink()
    nights.turn(at(20, 2))
    nights.template.write_text(text)
    nights.turn(at(21, 2))
    run = nights.run(20)
    assert run is not None
    assert (run.outcome, run.code) == (Outcome.SKIPPED, Code.NIGHT_TEMPLATE)
    assert "cannot be read" in run.reason
    assert run.reason.endswith("; the next run was due before glmd could drop this one")
    assert nights.outcome(21) is Outcome.DROPPED


def test_nights_that_were_run_stay_so_when_the_clock_is_set_back(nights: Nights) -> None:
    """What the clock shows again is not skipped."""
    for day in (20, 21, 22):
        nights.turn(at(day, 2))
        nights.take_in(State.CANCELLED)
    nights.turn(at(19, 12))
    nights.turn(at(23, 2))
    assert [nights.outcome(day) for day in (20, 21, 22, 23)] == [Outcome.DROPPED] * 4


def test_a_kill_leaves_all_or_nothing(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which time is done with and what became of it: one transaction."""
    monkeypatch.setattr(nights.store, "_keep_night", lambda _: (_ for _ in ()).throw(RuntimeError("killed")))
    nights.turn(at(20, 2))
    assert nights.store.last_due("glm") == at(19, 20)
    monkeypatch.undo()
    nights.restart()
    nights.turn(at(20, 2, 1))
    assert nights.store.last_due("glm") == at(20, 2)
    assert nights.outcome(20) is Outcome.DROPPED
    assert len(list(nights.root.inbox.iterdir())) == 1


def test_a_run_that_somebody_drops_is_kept_as_such(nights: Nights) -> None:
    """By the moment in its name; the cycle's own time is not touched by it."""
    job = nights.store.add(NewJob.of_drop("by hand", "glm-20261120T101112Z.yaml"))
    assert job.source is Source.NIGHT
    run = nights.store.night("glm", datetime(2026, 11, 20, 10, 11, 12, tzinfo=UTC))
    assert run is not None
    assert (run.outcome, run.job, run.reason) == (Outcome.DROPPED, job.id, BY_HAND)
    assert nights.store.last_due("glm") == at(19, 20)
    nights.store.add(NewJob.of_drop("no time", "glm-20261399T101112Z.yaml"))
    assert rows(nights) == 1


def test_a_store_of_before_begins_to_keep_nights(tmp_path: Path) -> None:
    """What an older glmd had remembered is gone on from; of nights that it dropped nothing is known."""
    root = Root(tmp_path)
    root.create()
    build(root.store, 5)
    template = tmp_path / "template.yaml"
    template.write_text("run_mode: finetune\n")
    cycle = NightlySettings(name="glm-6b", cron="0 2 * * *", timezone="UTC", template=template)
    with Store.open(root.store) as store:
        last = store.last_due("glm-6b")
        assert last is not None
        assert last < at(25, 2)
        Cycles([cycle], root, store, Faults(), at_once).turn(Moment(0.0, at(26, 9)))
        assert store.night("glm-6b", last) is None
        found = [store.night("glm-6b", at(day, 2)) for day in (25, 26)]
    assert [night and night.outcome for night in found] == [Outcome.SKIPPED, Outcome.SKIPPED]
    assert [night and night.code for night in found] == [Code.NIGHT_MISSED, Code.NIGHT_SKIPPED], "a run is not over"


# New data


@pytest.fixture
def data(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory of data that need not rest; the cycle takes the newest and skips what it has had."""
    monkeypatch.setattr("handlers.inputs.whole.QUIET", 0.0)
    (nights.path / "data").mkdir()
    nights.template.write_text(f"data: {{newest:{nights.path}/data/*.json}}\nnight: '{{night}} of {{date}}'\n")
    nights.restart(if_unchanged="skip")
    return nights.path / "data"


def train(nights: Nights, *ways: State) -> Job:
    """Let the dropped night become a job that is trained and merged, as far as its records say so."""
    (path,) = nights.root.inbox.iterdir()
    named = [line.split()[-1] for line in path.read_text().splitlines() if line.strip().startswith("- /")]
    job = nights.take_in(*ways)
    directory = job.directory(nights.root.path)
    directory.path.mkdir()
    note(named, directory)
    output = small_run(directory.output).write()
    plan = MergePlan(source=output.source, destination=directory.merged)
    merge_run(plan, trained_on=lambda: trained_on(directory))
    return job


DONE = (State.MERGING, State.DONE)
FAILED = (State.MERGING, State.FAILED)


def test_a_night_without_new_data_is_skipped(nights: Nights, data: Path) -> None:
    """The inputs have the bytes of the last run that came to its end; new ones are a new night."""
    (data / "a.json").write_text("one")
    nights.turn(at(20, 2))
    assert "night: 'glm-20261120T020000Z of 2026-11-20'" in next(nights.root.inbox.iterdir()).read_text()
    job = train(nights, *DONE)
    os.utime(data / "a.json")
    nights.turn(at(21, 2))
    assert nights.run(21) == NightRun(
        "glm", at(21, 2), at(21, 2), Outcome.SKIPPED, None,
        f"inputs unchanged since job {job.id}: {data}/a.json", Code.NIGHT_UNCHANGED,
    )  # fmt: skip
    assert not list(nights.root.inbox.iterdir())
    (data / "a.json").write_text("two")
    nights.turn(at(22, 2))
    assert nights.outcome(22) is Outcome.DROPPED


def test_a_run_that_failed_is_not_the_last_one(nights: Nights, data: Path) -> None:
    """Its data were not trained on: the night comes again, until one is done."""
    (data / "a.json").write_text("one")
    for day in (20, 21):
        nights.turn(at(day, 2))
        train(nights, *FAILED)
        assert nights.outcome(day) is Outcome.DROPPED


def test_by_default_a_night_comes_without_new_data(nights: Nights, data: Path) -> None:
    """As ever."""
    nights.restart(if_unchanged="run")
    (data / "a.json").write_text("one")
    for day in (20, 21):
        nights.turn(at(day, 2))
        train(nights, *DONE)
        assert nights.outcome(day) is Outcome.DROPPED


def test_a_night_waits_for_its_data(nights: Nights, data: Path) -> None:
    """Failed while there is nothing whole, tried again, and caught up."""
    with (data / "a.json").open("w") as stream:
        stream.write("half")
        stream.flush()
        nights.turn(at(20, 2))
        run = nights.run(20)
        assert run is not None
        assert (run.outcome, run.code) == (Outcome.FAILED, Code.NIGHT_INPUT)
        assert "open for writing" in run.reason
    nights.turn(at(20, 2) + AGAIN)
    assert nights.outcome(20) is Outcome.CAUGHT_UP


def test_what_was_passed_over_is_told(nights: Nights, data: Path) -> None:
    """The night took the one before; somebody may have meant the newer one."""
    (data / "a.json").write_text("one")
    with (data / "b.json").open("w") as stream:
        stream.write("half")
        stream.flush()
        nights.turn(at(20, 2))
    run = nights.run(20)
    assert run is not None
    assert run.outcome is Outcome.DROPPED
    assert "b.json is skipped" in run.reason
