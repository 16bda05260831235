"""Nightly cycles: neither doubled nor dropped, whatever the clock and the host do."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.cycles import Cycle, Cycles
from daemon.settings import NightlySettings, SettingsError
from daemon.states import State
from daemon.store import NewJob, Store


def settings(cron: str = "30 2 * * *", zone: str = "Europe/Berlin", template: Path = Path("t.yaml")) -> NightlySettings:
    """Return a cycle named glm."""
    return NightlySettings(name="glm", cron=cron, timezone=zone, template=template, devices="[0,2)")


def times(cycle: Cycle, start: datetime, count: int) -> list[datetime]:
    """Return the next `count` times after `start`, in UTC."""
    found = []
    for _ in range(count):
        due = cycle.after(start)
        assert due is not None
        found.append(start := due.astimezone(UTC))
    return found


def test_clock_set_back_does_not_double_a_run() -> None:
    """On 2026-10-25 half past two comes twice in Berlin; the cycle runs at the first."""
    runs = times(Cycle(settings()), datetime(2026, 10, 24, 0, 31, tzinfo=UTC), 2)
    assert runs == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)]


def test_clock_set_forward_does_not_drop_a_run() -> None:
    """On 2026-03-29 half past two does not exist in Berlin; the cycle runs all the same, once."""
    runs = times(Cycle(settings()), datetime(2026, 3, 28, 12, tzinfo=UTC), 2)
    assert runs == [datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2026, 3, 30, 0, 30, tzinfo=UTC)]


def test_an_hourly_cycle_runs_in_both_hours() -> None:
    """A cron time for every hour means every hour, also the repeated one."""
    runs = times(Cycle(settings("30 * * * *")), datetime(2026, 10, 25, 0, 0, tzinfo=UTC), 3)
    assert [b - a for a, b in itertools.pairwise(runs)] == [timedelta(hours=1)] * 2


def test_a_long_pause_costs_no_step_for_each_run_missed() -> None:
    """A cycle of every minute is caught up after three years as fast as after an hour; so is a yearly one."""
    now, then = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)
    cycle = Cycle(settings("* * * * *", "UTC"))
    steps = []
    cycle._next = lambda last, real=cycle._next: steps.append(last) or real(last)  # type: ignore[method-assign, misc]
    assert cycle.newest_due(then, now) == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert len(steps) < 100
    assert Cycle(settings("0 2 1 12 *", "UTC")).newest_due(then, now) == datetime(2025, 12, 1, 2, tzinfo=UTC)
    assert Cycle(settings("0 2 1 12 *", "UTC")).newest_due(datetime(2026, 1, 1, tzinfo=UTC), now) is None


@pytest.mark.parametrize(("cron", "zone"), (("61 2 * * *", "UTC"), ("nonsense", "UTC"), ("0 2 * * *", "Mars/Base")))
def test_a_wrong_cron_time_is_said_at_once(cron: str, zone: str) -> None:
    """A cycle that can never run is refused with the settings, by name."""
    with pytest.raises(SettingsError, match="nightly glm"):
        Cycle(settings(cron, zone))


class House:
    """A store, an inbox and a template, and cycles over them."""

    def __init__(self, path: Path) -> None:
        self.inbox = path / "inbox"
        self.inbox.mkdir()
        self.claims = path / "claims"
        self.template = path / "template.yaml"
        self.template.write_text("run_mode: finetune\n")
        self.store = Store.open(path / "glmd.db")
        self.restart()

    def restart(self) -> None:
        """Do what a new daemon does."""
        self.cycles = Cycles([settings("0 2 * * *", "UTC", self.template)], self.store, self.inbox, self.claims)

    def dropped(self) -> list[str]:
        """Return what lies in the inbox."""
        return sorted(path.name for path in self.inbox.iterdir())

    def take_in(self, state: State | None = None) -> None:
        """Do what intake does with the dropped files; leave their jobs in `state`."""
        for path in self.inbox.iterdir():
            job = self.store.add(NewJob(path.name, path.stem))
            if state:
                self.store.move(job, state)
            path.unlink()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return the house that a test works on."""
    house = House(tmp_path)
    yield house
    house.store.close()


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Return a time in November 2026."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_a_new_cycle_waits_for_its_time(house: House) -> None:
    """Adding a cycle starts nothing; its time does, once."""
    house.cycles.turn(at(24, 1))
    assert house.dropped() == []
    assert house.cycles.next_due(at(24, 1)) == at(24, 2)
    house.cycles.turn(at(24, 2, 1))
    house.cycles.turn(at(24, 2, 2))
    assert len(house.dropped()) == 1


def test_runs_missed_while_down_are_caught_up_once(house: House) -> None:
    """Three nights without the host make one run, the newest."""
    house.cycles.turn(at(20, 1))
    house.restart()
    house.cycles.turn(at(23, 9))
    assert len(house.dropped()) == 1
    assert house.store.last_due("glm") == at(23, 2)


def test_runs_do_not_pile_up(house: House) -> None:
    """While a cycle's job is not over the next run is left out; when it is over the one after comes."""
    house.cycles.turn(at(20, 1))
    house.cycles.turn(at(20, 3))
    house.take_in()
    house.cycles.turn(at(21, 3))
    assert house.dropped() == []
    (job,) = house.store.jobs()
    house.store.move(job, State.CANCELLED)
    house.cycles.turn(at(22, 3))
    assert len(house.dropped()) == 1


def test_a_crash_after_the_drop_does_not_drop_again(house: House) -> None:
    """The run's name is known from its time: a job that has it is not made twice."""
    house.cycles.turn(at(20, 1))
    house.cycles.turn(at(20, 3))
    house.take_in(State.CANCELLED)
    house.store.set_last_due("glm", at(19, 2))  # what a crash before the remembering leaves
    house.restart()
    house.cycles.turn(at(20, 4))
    assert house.dropped() == []


def test_a_missing_template_is_tried_again(house: House) -> None:
    """The run is not lost when its template is back a little later."""
    house.cycles.turn(at(20, 1))
    text = house.template.read_text()
    house.template.unlink()
    house.cycles.turn(at(20, 2))
    assert house.dropped() == []
    house.template.write_text(text)
    house.cycles.turn(at(20, 2, 10))
    assert len(house.dropped()) == 1
