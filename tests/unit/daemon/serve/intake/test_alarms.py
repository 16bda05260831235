"""A night without success is told of once, when its time has come: by its cycle's own schedule."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.night_runs import NightRun, Outcome
from daemon.core.notices import Notice, NoticeKind
from daemon.core.setting_sections import NightlySettings
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from daemon.serve.intake.alarms import Alarms
from daemon.serve.intake.source import Moment
from handlers.codes import Code
from handlers.run_names import run_name

FRIDAY = datetime(2026, 11, 27, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WAYS = {
    State.QUEUED: (),
    State.TRAINING: (State.PREPARING, State.TRAINING),
    State.FAILED: (State.PREPARING, State.TRAINING, State.FAILED),
    State.DONE: (State.PREPARING, State.TRAINING, State.MERGING, State.DONE),
}


class House:
    """A store that has counted a cycle for a week, and its alarm."""

    def __init__(self, store: Store, cron: str = "0 2 * * *", zone: str = "UTC", alarm: str = "6h") -> None:
        self.store, self.cron, self.zone = store, cron, zone
        store.set_last_due("glm", FRIDAY - 7 * DAY, cron, zone)
        store.set_last_due("glm", FRIDAY, cron, zone)
        self.open(alarm)

    def open(self, alarm: str = "6h") -> None:
        """Do what a new daemon does."""
        given = {"name": "glm", "cron": self.cron, "timezone": self.zone, "template": "t.yaml", "alarm": alarm}
        self.alarms = Alarms([NightlySettings.model_validate(given)], self.store)

    def run(self, due: datetime, state: State) -> Job:
        """Let a run have been dropped, and have come so far."""
        job = self.store.add(NewJob(f"claim {due}", run_name("glm", due), devices=(0,), source=Source.NIGHT))
        for step in WAYS[state]:
            job = self.store.move(job, step, "rank 3 died" if step is State.FAILED else "")
        return job

    def at(self, now: datetime) -> list[Notice]:
        """Let it be `now`, and return what lasts."""
        self.alarms.turn(Moment(0.0, now))
        return [notice for notice in self.store.notices() if notice.kind is NoticeKind.NIGHTLY_OVERDUE]

    def next_due(self, now: datetime) -> datetime | None:
        """Return when it wants to look."""
        seconds = self.alarms.next_due(Moment(0.0, now))
        return None if seconds is None else now + timedelta(seconds=seconds)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    with Store.open(tmp_path / "glmd.db") as store:
        yield store


@pytest.fixture
def house(store: Store) -> House:
    """Return a cycle of every night whose runs up to Friday's were done."""
    house = House(store)
    for days in range(1, 7):
        house.run(FRIDAY - days * DAY, State.DONE)
    return house


def test_a_night_is_overdue_six_hours_after_its_time_and_once(house: House) -> None:
    """Neither before, nor again; and the loop is woken for it."""
    job = house.run(FRIDAY, State.FAILED)
    assert house.at(FRIDAY + 5 * HOUR) == []
    assert house.next_due(FRIDAY + 5 * HOUR) == FRIDAY + 6 * HOUR
    (told,) = house.at(FRIDAY + 6 * HOUR)
    assert (told.cycle, told.due, told.job) == ("glm", FRIDAY, job.id)
    assert told.text == (
        "glm: the night of 2026-11-27 02:00 has no success 6h after its time: job 7 is failed: rank 3 died"
    )
    house.open()  # the daemon is started again
    assert house.at(FRIDAY + 7 * HOUR) == [told]
    assert len(house.store.notices(also_passed=True)) == 1
    assert house.next_due(FRIDAY + 7 * HOUR) == FRIDAY + DAY + 6 * HOUR


def test_it_passes_with_a_later_success(house: House) -> None:
    """Then all is well, until a night is overdue again."""
    house.run(FRIDAY, State.FAILED)
    house.at(FRIDAY + 6 * HOUR)
    house.run(FRIDAY + DAY, State.DONE)
    assert house.at(FRIDAY + DAY + 6 * HOUR) == []
    assert len(house.at(FRIDAY + 2 * DAY + 6 * HOUR)) == 1


def test_what_still_runs_is_no_success(house: House) -> None:
    """It says so: of its own job, and of the one before that it overlaps."""
    house.run(FRIDAY, State.TRAINING)
    (told,) = house.at(FRIDAY + 6 * HOUR)
    assert told.text.endswith("job 7 is still training")
    reason = "the run before is not over"
    saturday = FRIDAY + DAY
    house.store.keep_night(NightRun("glm", saturday, saturday, Outcome.SKIPPED, reason=reason, code=Code.NIGHT_SKIPPED))
    _, told = house.at(saturday + 6 * HOUR)
    assert told.text.endswith(f"it was left out: {reason}; job 7, of the night before, is still training")


@pytest.mark.parametrize("later", (timedelta(), DAY - HOUR))
def test_a_success_is_a_run_of_that_time_or_later(house: House, later: timedelta) -> None:
    """Somebody may have tried it by hand since."""
    house.run(FRIDAY + later, State.DONE)
    assert house.at(FRIDAY + DAY) == []


def test_a_night_that_had_nothing_to_do_is_well(house: House) -> None:
    """Its inputs had not changed."""
    skipped = NightRun("glm", FRIDAY, FRIDAY, Outcome.SKIPPED, reason="unchanged", code=Code.NIGHT_UNCHANGED)
    house.store.keep_night(skipped)
    assert house.at(FRIDAY + 6 * HOUR) == []


def test_a_weeknight_cycle_is_quiet_at_weekends(store: Store) -> None:
    """From Friday's success to Tuesday's alarm, of Monday's night... of none: nothing is due between."""
    house = House(store, "0 2 * * mon-fri")
    house.run(FRIDAY, State.DONE)
    for hours in range(6, 72):
        assert house.at(FRIDAY + hours * HOUR) == [], hours
    assert len(house.at(FRIDAY + 3 * DAY + 6 * HOUR)) == 1, "Monday's"


@pytest.mark.parametrize(
    ("due", "day"),
    (
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), timedelta(hours=25)),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), timedelta(hours=23, minutes=30)),
    ),
)
def test_days_of_23_and_25_hours(store: Store, due: datetime, day: timedelta) -> None:
    """Half past two comes twice, or never; six hours after it are six hours."""
    store.set_last_due("glm", due - 3 * DAY, "30 2 * * *", "Europe/Berlin")
    house = House.__new__(House)
    house.store, house.cron, house.zone = store, "30 2 * * *", "Europe/Berlin"
    house.open()
    house.run(due - DAY + HOUR, State.DONE)
    house.run(due, State.FAILED)
    assert house.at(due + 6 * HOUR - timedelta(seconds=1)) == []
    assert [told.due for told in house.at(due + 6 * HOUR)] == [due]
    assert house.next_due(due + 6 * HOUR) == due + day + 6 * HOUR


def test_what_was_before_a_cycle_was_new_or_changed_is_not_overdue(store: Store) -> None:
    """Nobody has promised those nights."""
    house = House(store, "0 3 * * *")
    store.set_last_due("glm", FRIDAY + 2 * HOUR, "0 4 * * *", "UTC")
    assert house.at(FRIDAY + DAY) == [], "the settings are read, and the cycles have not taken note"
    house.cron = "0 4 * * *"
    house.open()
    assert house.at(FRIDAY + 20 * HOUR) == []
    (told,) = house.at(FRIDAY + 2 * DAY)
    assert told.due == FRIDAY + DAY + 2 * HOUR


def test_an_alarm_can_be_off(house: House) -> None:
    """And another time than six hours."""
    house.run(FRIDAY, State.FAILED)
    house.open("off")
    assert house.at(FRIDAY + DAY) == []
    assert house.next_due(FRIDAY) is None
    house.open("1h30m")
    assert len(house.at(FRIDAY + 2 * HOUR)) == 1


def test_a_clock_that_is_set_back_is_looked_at_again(house: House) -> None:
    """It does not wait for the alarm of a night that was far ahead."""
    house.run(FRIDAY, State.FAILED)
    house.at(FRIDAY - 300 * DAY)
    house.at(FRIDAY + 5 * HOUR)
    house.alarms.turn(Moment(0.0, FRIDAY))
    assert house.next_due(FRIDAY) == FRIDAY + 6 * HOUR
