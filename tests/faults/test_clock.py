"""A clock that is set back and forth: a nightly cycle neither doubles nor skips a run, and nothing settles by it."""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.root import Root
from daemon.core.setting_sections import NightlySettings
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.serve.intake.nightly import AGAIN, Cycles
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from tests.faults.world import MERGED, World
from tests.unit.daemon.at_once import at_once

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Nights:
    """A cycle at two every night over a clock that can be set; each run is over as soon as it is dropped."""

    def __init__(self, path: Path, store: Store) -> None:
        self.inbox, template = path / "inbox", path / "template.yaml"
        self.inbox.mkdir()
        template.write_text("run_mode: finetune\n")
        self.store = store
        self.template = template
        cycle = NightlySettings(name="glm", cron="0 2 * * *", timezone="UTC", template=template)
        self.cycles = Cycles([cycle], Root(path), store, Faults(), at_once)
        self.now = self.latest = START
        self.runs: list[str] = []
        self.turn()

    def turn(self) -> None:
        """Let the daemon turn now."""
        self.latest = max(self.latest, self.now)
        self.cycles.turn(Moment(0.0, self.now))
        for path in self.inbox.iterdir():
            self.runs.append(path.stem)
            self.store.move(self.store.add(NewJob(f"{len(self.runs)}", path.stem)), State.CANCELLED)
            path.unlink()

    @staticmethod
    def between(start: datetime, end: datetime) -> list[datetime]:
        """Return the times to run after `start`, up to `end`."""
        times = (start.replace(hour=2, minute=0) + timedelta(days=day) for day in range((end - start).days + 2))
        return [time for time in times if start < time <= end]

    @staticmethod
    def name(night: datetime) -> str:
        """Return what that night's run is called."""
        return f"glm-{night:%Y%m%dT%H%M%SZ}"

    def pass_by(self, hours: int) -> None:
        """Let time go on, with a turn every quarter of an hour."""
        for _ in range(4 * hours):
            self.now += timedelta(minutes=15)
            self.turn()

    def set_clock(self, hours: int) -> None:
        """Step the clock."""
        self.now += timedelta(hours=hours)
        self.turn()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-60, 60), st.integers(0, 30)), max_size=5))
def test_no_night_is_doubled_and_none_is_skipped(steps: list[tuple[int, int]]) -> None:
    """Whatever steps the clock takes, no night is run twice; of nights that it had never shown before, none lacks."""
    with tempfile.TemporaryDirectory() as directory, Store.open(Path(directory) / "glmd.db") as store:
        nights = Nights(Path(directory), store)
        for step, hours in steps:
            nights.set_clock(step)
            nights.pass_by(hours)
        latest = nights.latest
        while nights.now < latest + timedelta(days=2):
            nights.pass_by(1)
        assert len(set(nights.runs)) == len(nights.runs)
        assert {nights.name(night) for night in nights.between(latest, nights.now)} <= set(nights.runs)


@pytest.mark.parametrize("hours", (13, 23, 25, 60, 24 * 400))
def test_a_clock_that_was_once_ahead_skips_no_night(tmp_path: Path, hours: int) -> None:
    """A wrong time at boot, mended a minute later: the nights up to it are run all the same, and none twice."""
    with Store.open(tmp_path / "glmd.db") as store:
        nights = Nights(tmp_path, store)
        nights.set_clock(hours)
        nights.set_clock(-hours)
        nights.pass_by(96)
        assert len(set(nights.runs)) == len(nights.runs)
        assert {nights.name(night) for night in nights.between(START, nights.now)} <= set(nights.runs)


def test_a_failed_drop_is_tried_again_after_the_clock_was_set_back(tmp_path: Path) -> None:
    """The pause is minutes, not minutes and the step."""
    with Store.open(tmp_path / "glmd.db") as store:
        nights = Nights(tmp_path, store)
        text = nights.template.read_text()
        nights.template.unlink()
        nights.pass_by(15)
        assert nights.runs == []
        nights.template.write_text(text)
        nights.set_clock(-1)  # from three o'clock to two
        nights.now += AGAIN
        nights.turn()
        assert len(nights.runs) == 1


@pytest.mark.parametrize("step", (-1e6, 1e6))
def test_a_drop_settles_whatever_the_clock_says(quick: Path, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """From claim to end a job goes by the monotonic clock: the wall clock is set while it is on its way."""
    real = time.time
    with World(quick, monkeypatch) as world:
        world.drop("run.yaml")
        world.turn_until(lambda: bool(world.store.jobs()), "the claim")
        monkeypatch.setattr(time, "time", lambda: real() + step)
        world.turn_until(lambda: world.are_over(1), "the job to be over")
        assert world.jobs() == {"run": (State.FAILED, MERGED)}
        world.agrees()
