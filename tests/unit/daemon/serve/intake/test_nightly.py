"""Nightly cycles: neither doubled nor dropped, whatever the clock and the host do."""

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from daemon.core.daemon_record import NextNight
from daemon.core.root import Root
from daemon.core.setting_sections import NightlySettings
from daemon.core.settings import SettingsError
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.serve.intake.nightly import Cycle, Cycles
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from tests.unit.daemon.at_once import at_once


def settings(
    cron: str = "30 2 * * *", zone: str | None = "Europe/Berlin", template: Path = Path("t.yaml")
) -> NightlySettings:
    """Return a cycle named glm."""
    return NightlySettings(name="glm", cron=cron, timezone=zone, template=template, devices="[0,2)")


def times(cycle: Cycle, start: datetime, count: int) -> list[datetime]:
    """Return the next `count` times after `start`, in UTC."""
    return [start := cycle.schedule.after(start) for _ in range(count)]


def test_clock_set_back_does_not_double_a_run() -> None:
    """On 2026-10-25 half past two comes twice in Berlin; the cycle runs at the first."""
    runs = times(Cycle(settings()), datetime(2026, 10, 24, 0, 31, tzinfo=UTC), 2)
    assert runs == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)]


def test_clock_set_forward_does_not_drop_a_run() -> None:
    """On 2026-03-29 half past two does not exist in Berlin; the cycle runs when the clock has been set, once."""
    runs = times(Cycle(settings()), datetime(2026, 3, 28, 12, tzinfo=UTC), 2)
    assert runs == [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 30, 0, 30, tzinfo=UTC)]


def test_an_hourly_cycle_runs_in_both_hours() -> None:
    """A cron time for every hour means every hour, also the repeated one."""
    runs = times(Cycle(settings("30 * * * *")), datetime(2026, 10, 25, 0, 0, tzinfo=UTC), 3)
    assert [b - a for a, b in itertools.pairwise(runs)] == [timedelta(hours=1)] * 2


def test_a_long_pause_costs_no_step_for_each_run_missed() -> None:
    """A cycle of every minute is caught up after three years as fast as after an hour; so is a yearly one."""
    now, then = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)
    schedule = Cycle(settings("* * * * *", "UTC")).schedule
    steps = []
    schedule.after = lambda last, real=schedule.after: steps.append(last) or real(last)  # type: ignore[method-assign, misc]
    assert schedule.newest(then, now) == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert len(steps) < 100
    yearly = Cycle(settings("0 2 1 12 *", "UTC")).schedule
    assert yearly.newest(then, now) == datetime(2025, 12, 1, 2, tzinfo=UTC)
    assert yearly.newest(datetime(2026, 1, 1, tzinfo=UTC), now) is None


@pytest.mark.parametrize(
    ("cron", "zone", "what"),
    (
        ("61 2 * * *", "UTC", "cron '61 2 [^']*': minute: '61' has 61; allowed are 0 to 59"),
        ("nonsense", "UTC", "cron 'nonsense': it has 1 fields"),
        ("@reboot", "UTC", "cron '@reboot': "),
        ("0 0 30 2 *", "UTC", "cron '0 0 30 2 [^']*': day of month: '30' never comes"),
        ("0 2 * * *", "Mars/Base", "timezone: 'Mars/Base' is no zone of the tz database"),
        ("0 2 * * *", "", "timezone: '' is no zone"),
    ),
)
def test_a_wrong_cron_time_is_said_at_once(cron: str, zone: str, what: str) -> None:
    """A cycle that can never run is refused with the settings, by name, with the field and what is right."""
    with pytest.raises(SettingsError, match=f"nightly glm: {what}"):
        Cycle(settings(cron, zone))


class House:
    """A store, an inbox and a template, and cycles over them."""

    def __init__(self, path: Path) -> None:
        self.inbox = path / "inbox"
        self.inbox.mkdir()
        self.root = Root(path)
        self.template = path / "template.yaml"
        self.template.write_text("run_mode: finetune\n")
        self.store = Store.open(path / "glmd.db")
        self.restart()

    def restart(self, cron: str = "0 2 * * *", zone: str | None = "UTC") -> None:
        """Do what a new daemon does, and one that reads changed settings."""
        self.cycles = Cycles([settings(cron, zone, self.template)], self.root, self.store, Faults(), at_once)

    def restart_without(self) -> None:
        """Do what a daemon does whose settings have no cycle any more."""
        self.cycles = Cycles([], self.root, self.store, Faults(), at_once)

    def turn(self, now: datetime) -> None:
        """Let the cycles turn at `now`."""
        self.cycles.turn(Moment(0.0, now))

    def next_due(self, now: datetime) -> datetime | None:
        """Return when the cycles have something to do next."""
        seconds = self.cycles.next_due(Moment(0.0, now))
        return None if seconds is None else now + timedelta(seconds=seconds)

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
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Return the house that a test works on; a zone that it sets as the host's goes with it."""
    house = House(tmp_path)
    yield house
    house.store.close()
    monkeypatch.undo()
    time.tzset()


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Return a time in November 2026."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_a_new_cycle_waits_for_its_time(house: House) -> None:
    """Adding a cycle starts nothing; its time does, once."""
    house.turn(at(24, 1))
    assert house.dropped() == []
    assert house.next_due(at(24, 1)) == at(24, 2)
    house.turn(at(24, 2, 1))
    house.turn(at(24, 2, 2))
    assert len(house.dropped()) == 1


def test_whoever_asks_is_told_when_each_cycle_comes(house: House) -> None:
    """The next of its times, also while the one before is not dropped yet; without cycles there is none."""
    assert house.cycles.to_come(at(24, 1)) == [NextNight("glm", at(24, 2))]
    assert house.cycles.to_come(at(24, 2)) == [NextNight("glm", at(25, 2))]
    house.restart_without()
    assert house.cycles.to_come(at(24, 2)) == []


def test_runs_missed_while_down_are_caught_up_once(house: House) -> None:
    """Three nights without the host make one run, the newest."""
    house.turn(at(20, 1))
    house.restart()
    house.turn(at(23, 9))
    assert len(house.dropped()) == 1
    assert house.store.last_due("glm") == at(23, 2)


def test_runs_do_not_pile_up(house: House) -> None:
    """While a cycle's job is not over the next run is left out; when it is over the one after comes."""
    house.turn(at(20, 1))
    house.turn(at(20, 3))
    house.take_in()
    house.turn(at(21, 3))
    assert house.dropped() == []
    (job,) = house.store.jobs()
    house.store.move(job, State.CANCELLED)
    house.turn(at(22, 3))
    assert len(house.dropped()) == 1


def test_a_long_run_holds_up_each_night(house: House) -> None:
    """However many nights the run before takes, and whatever was dropped by hand."""
    house.turn(at(20, 1))
    house.turn(at(20, 3))
    house.take_in()
    house.store.move(house.store.add(NewJob("another", "glm-6b-20261121T020000Z")), State.CANCELLED)
    for day in (21, 22, 23):
        house.turn(at(day, 3))
        assert house.dropped() == []
        house.restart()


def test_another_cycles_run_holds_up_nothing(house: House) -> None:
    """Though its name begins alike."""
    house.store.add(NewJob("another", "glm-6b-20261120T020000Z"))
    (house.inbox / "glm-6b-20261120T030000Z.yaml").write_text("")
    house.turn(at(20, 1))
    house.turn(at(20, 3))
    assert "glm-20261120T020000Z.yaml" in house.dropped()


@pytest.mark.parametrize(
    ("cron", "zone"),
    (("0 10 * * *", "UTC"), ("0 2,10 * * *", "UTC"), ("0 2 * * *", "America/New_York"), ("30 1 * * *", None)),
)
def test_a_changed_time_counts_from_the_change(
    house: House, monkeypatch: pytest.MonkeyPatch, cron: str, zone: str | None
) -> None:
    """Tonight's run was; a new time or zone by which one would have come since starts nothing before its next time."""
    monkeypatch.setenv("TZ", "America/New_York")
    house.turn(at(20, 1))
    house.turn(at(20, 2))
    house.take_in(State.CANCELLED)
    house.turn(at(20, 12))
    house.restart(cron, zone)
    for minute in range(3):
        house.turn(at(20, 12, minute))
    assert house.dropped() == []
    house.turn(at(21, 12))
    assert len(house.dropped()) == 1


def test_a_night_missed_before_a_change_is_caught_up(house: House) -> None:
    """The host was down at two, and came up with settings that say three: the run of two, and tomorrow's at three."""
    house.turn(at(20, 1))
    house.restart("0 3 * * *", "Europe/Berlin")
    house.turn(at(20, 9))
    assert house.dropped() == ["glm-20261120T020000Z.yaml"]
    house.take_in(State.CANCELLED)
    house.turn(at(20, 9, 1))
    assert house.dropped() == []
    assert house.next_due(at(20, 9, 1)) == at(21, 2)


def test_a_missed_night_outlives_a_missing_template(house: House) -> None:
    """A change of the time does not make the daemon forget what it has still to drop."""
    house.turn(at(20, 1))
    text = house.template.read_text()
    house.template.unlink()
    house.restart("0 3 * * *")
    house.turn(at(20, 9))
    house.template.write_text(text)
    house.turn(at(20, 9, 5))
    assert house.dropped() == ["glm-20261120T020000Z.yaml"]


def test_the_hosts_zone_may_be_set_while_the_daemon_runs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on the nights go by the new one; what has run by the old one is not run again."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    house.restart("0 2 * * *", None)
    house.turn(at(20, 12))
    assert house.next_due(at(20, 12)) == at(20, 18)
    house.turn(at(20, 18))
    assert house.dropped() == ["glm-20261120T180000Z.yaml"]
    house.take_in(State.CANCELLED)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    house.turn(at(21, 3))
    assert house.dropped() == []
    assert house.next_due(at(21, 3)) == at(22, 1)
    house.turn(at(22, 1))
    assert house.dropped() == ["glm-20261122T010000Z.yaml"]


@pytest.mark.parametrize("cron", ("0 2 * * *", "0 * * * *"))
def test_a_cycle_that_comes_back_is_a_new_one(house: House, cron: str) -> None:
    """What it would have run while the settings did not have it is not caught up."""
    house.turn(at(20, 1))
    house.restart_without()
    house.turn(at(20, 12))
    house.restart(cron)
    house.turn(at(24, 12, 1))
    assert house.dropped() == []
    assert house.next_due(at(24, 12, 1)) == (at(25, 2) if cron == "0 2 * * *" else at(24, 13))


def test_a_store_of_before_knows_no_expression(house: House) -> None:
    """What an earlier glmd remembered is counted by the present settings."""
    house.store.set_last_due("glm", at(20, 2))
    house.restart("0 2 * * *", "Asia/Shanghai")
    house.turn(at(21, 1))
    assert house.dropped() == ["glm-20261120T180000Z.yaml"]


@pytest.mark.parametrize("ahead", (timedelta(minutes=1), timedelta(hours=20), timedelta(days=40)))
def test_a_last_time_ahead_of_the_clock_holds_up_nothing(house: House, ahead: timedelta) -> None:
    """The clock was once ahead: an hourly cycle goes on with the next hour."""
    house.restart("0 * * * *")
    house.store.set_last_due("glm", at(20, 1) + ahead, "0 * * * *")
    house.turn(at(20, 1))
    assert house.next_due(at(20, 1)) == at(20, 2)
    house.turn(at(20, 2))
    assert len(house.dropped()) == 1


def test_a_crash_after_the_drop_does_not_drop_again(house: House) -> None:
    """The run's name is known from its time: a job that has it is not made twice."""
    house.turn(at(20, 1))
    house.turn(at(20, 3))
    house.take_in(State.CANCELLED)
    house.store.set_last_due("glm", at(19, 2))  # what a crash before the remembering leaves
    house.restart()
    house.turn(at(20, 4))
    assert house.dropped() == []


def test_a_drop_that_lands_while_it_is_looked_for_is_not_the_run_before(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker publishes it at any moment; nobody is told that the night was left out."""
    house.turn(at(20, 1))
    landings: list[Callable[[], object]] = []
    monkeypatch.setattr(house.cycles, "_submit", lambda _key, work, _then: landings.append(work))
    house.turn(at(20, 2))
    look = house.cycles._was_dropped
    monkeypatch.setattr(house.cycles, "_was_dropped", lambda name: (look(name), landings[0]())[0])
    with structlog.testing.capture_logs() as logs:
        house.turn(at(20, 2))
    assert (len(house.dropped()), logs) == (1, [])
