"""Hours before a night somebody knows that the disk is too small for it; and that it no longer is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.notices import NoticeKind
from daemon.core.results import Result
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from daemon.serve.intake import room as rooms
from daemon.serve.intake.room import BEFORE, EVERY, PATIENCE, SOON, Look, Next, Room, look
from daemon.serve.intake.source import Moment
from handlers.run_names import run_name
from tests.acceptance.house import CONFIG
from tests.unit.daemon.at_once import at_once

DUE = datetime(2026, 11, 28, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GB = 10**9
DONE = (State.PREPARING, State.TRAINING, State.MERGING, State.DONE)


class House:
    """A store with two cycles, the smaller one an hour later, and a disk that the test fills."""

    def __init__(self, path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.store = Root(path), store
        self.free, self.taken, self.asked, self.now = 1000 * GB, 0, 0, 0.0
        self.estimates: dict[str, int | None] = {"glm": None, "small": None}
        crons = {"glm": "0 2 * * *", "small": "0 3 * * *"}
        nightly = [
            {"name": name, "cron": cron, "timezone": "UTC", "template": "t.yaml"} for name, cron in crons.items()
        ]
        for name, cron in crons.items():
            store.set_last_due(name, DUE - 7 * DAY, cron, "UTC")
        self.settings = Settings.model_validate({"root": path, "nightly": nightly})
        monkeypatch.setattr(rooms, "look", self._look)
        self.open()

    def open(self) -> None:
        """Do what a new daemon does."""
        self.room = Room(self.settings, self.root, self.store, at_once, self._make_room)

    def _look(self, *given: object) -> Look:
        active = given[-1]
        assert isinstance(active, dict)
        return Look(self.free, self.estimates, dict.fromkeys(active, self.taken))

    def _make_room(self) -> None:
        self.asked += 1

    def run(self, cycle: str, due: datetime, *ways: State, took: Result | None = None) -> Job:
        """Let a run have gone these ways."""
        job = self.store.add(NewJob(f"{cycle} {due}", run_name(cycle, due), source=Source.NIGHT))
        for state in ways:
            job = self.store.move(job, state)
        if took:
            self.store.keep_result(job, took)
        return job

    def learn(self, cycle: str = "glm", *shards: int) -> None:
        """Let nights of a cycle have left so many GB of shards, and 13 GB merged."""
        for days, size in enumerate(shards, 2):
            self.run(cycle, DUE - days * DAY, *DONE, took=Result(bytes=13 * GB, shards=size * GB))

    def at(self, wall: datetime, later: float = EVERY) -> list[str]:
        """Let it be then, at least so many seconds later, and give it its turns; return what is said of the disk."""
        self.now += later
        self.room.turn(Moment(self.now, wall))
        if self.asked and self.room._asked is not None:
            self.now += SOON
            self.room.turn(Moment(self.now, wall))
        return [notice.text for notice in self.store.notices() if notice.kind is NoticeKind.DISK_LOW]

    def next_due(self, wall: datetime) -> float | None:
        """Return in how many seconds it wants to look."""
        return self.room.next_due(Moment(self.now, wall))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Return a root with an empty store."""
    root = Root(tmp_path)
    root.create()
    with Store.open(root.store) as store:
        yield House(tmp_path, store, monkeypatch)


def test_a_disk_that_is_too_small_is_told_hours_before(house: House) -> None:
    """Eight hours before the night, with figures, after room was asked for; once, and until there is room."""
    house.learn("glm", 117, 63)
    house.free = int(20.1 * GB)
    assert house.at(DUE - BEFORE - timedelta(seconds=1)) == []
    assert house.asked == 0
    (told,) = house.at(DUE - BEFORE, later=1.0)
    assert house.asked == 1
    assert "(glm) needs about 130.0 GB, 20.1 GB are free at " in told
    assert "its jobs will wait until there is room" in told
    assert house.at(DUE - BEFORE + HOUR) == [told]
    assert (house.asked, len(house.store.notices(also_passed=True))) == (2, 1)
    house.free = 130 * GB
    assert house.at(DUE - BEFORE + 2 * HOUR) == []


def test_room_that_is_made_in_time_is_worth_no_word(house: House) -> None:
    """It is looked again a moment later; as long as something is being removed, nobody is told, but not for ever."""
    house.learn("glm", 63)
    house.free = 20 * GB
    prune = "INSERT INTO prunings (job, part, bytes, begun, by, reason) VALUES (1, 'shards', 1, '2026-11-27', '', '')"
    house.store._connection.execute(prune)
    assert house.at(DUE - BEFORE) == []
    assert house.next_due(DUE - BEFORE) == SOON
    assert house.at(DUE - BEFORE, SOON) == []
    assert len(house.at(DUE - BEFORE, PATIENCE)) == 1
    house.store.pass_notices(NoticeKind.DISK_LOW, DUE)
    house.open()
    house.now += EVERY
    house.room.turn(Moment(house.now, DUE - BEFORE))
    house.free = 100 * GB
    assert house.at(DUE - BEFORE, SOON) == []


def test_cycles_of_one_night_sum_up(house: House) -> None:
    """Each fits by itself; of which nobody knows anything, nothing is said."""
    house.learn("glm", 63)
    house.free = 100 * GB
    assert house.at(DUE - 6 * HOUR) == []
    house.learn("small", 63)
    (told,) = house.at(DUE - 5 * HOUR)
    assert "(glm, small) needs about 152.0 GB, 100.0 GB are free" in told


def test_without_a_run_to_learn_from_the_check_is_asked(house: House) -> None:
    """And where it wants more than any run took: the job would wait for that."""
    house.free = 100 * GB
    house.estimates["glm"] = 140 * GB
    (told,) = house.at(DUE - HOUR)
    assert "needs about 140.0 GB" in told
    house.learn("glm", 63)
    assert house.at(DUE - HOUR) == [told]


def test_while_nobody_knows_what_was_said_stays_said(house: House) -> None:
    """The template is being changed: that makes no room."""
    house.free = 100 * GB
    assert house.at(DUE - HOUR) == [], "nothing is known, and nothing said"
    house.estimates["glm"] = 140 * GB
    told = house.at(DUE - HOUR)
    assert len(told) == 1
    house.estimates["glm"] = None
    assert house.at(DUE - HOUR) == told
    house.estimates["glm"] = 90 * GB
    assert house.at(DUE - HOUR) == []


def test_only_the_last_runs_count(house: House) -> None:
    """One that is five nights ago may have been another model."""
    house.free = 100 * GB
    house.learn("glm", 63, 63, 63, 63, 63, 500)
    assert len(house.at(DUE - HOUR)) == 1, "the oldest by its time was added last"
    for days in range(10, 15):
        house.run("glm", DUE - days * DAY, *DONE, took=Result(bytes=13 * GB, shards=63 * GB))
    assert house.at(DUE - HOUR / 2) == []


def test_it_lasts_while_the_night_waits_for_room(house: House) -> None:
    """Its time has come, it is dropped, it is a job that waits: it is said until it begins."""
    house.learn("glm", 117)
    house.free = 20 * GB
    told = house.at(DUE - HOUR)
    assert house.at(DUE, later=1.0) == told, "the cycles have not had their turn"
    assert house.at(DUE + HOUR) == told
    job = house.run("glm", DUE)
    assert house.at(DUE + 9 * HOUR) == told
    house.free = 200 * GB
    assert house.at(DUE + 10 * HOUR) == []
    house.free = 20 * GB
    house.store.move(job, State.PREPARING)
    assert house.at(DUE + 11 * HOUR) == []


def test_what_runs_takes_its_room_yet(house: House) -> None:
    """The night that has begun is not done with the disk."""
    house.learn("glm", 117)
    house.learn("small", 63)
    house.run("glm", DUE, State.PREPARING, State.TRAINING)
    house.free, house.taken = 100 * GB, 100 * GB
    (told,) = house.at(DUE + HOUR / 2)
    assert "(small) needs about 106.0 GB, 30.0 GB of them for what runs, 100.0 GB are free" in told
    house.taken += 6 * GB
    assert house.at(DUE + HOUR / 2) == []


def test_days_of_23_hours(house: House) -> None:
    """In the zone of a cycle whose clocks are set forward before the night."""
    nightly = house.settings.nightly[0].model_copy(update={"timezone": "Europe/Berlin", "cron": "30 2 * * *"})
    house.settings = house.settings.model_copy(update={"nightly": (nightly,)})
    house.store.set_last_due("glm", datetime(2026, 3, 20, 2, 30, tzinfo=UTC), "30 2 * * *", "Europe/Berlin")
    house.open()
    house.estimates["glm"] = 140 * GB
    house.free = 100 * GB
    due = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert house.at(due - BEFORE - HOUR) == []
    assert house.next_due(due - BEFORE - HOUR / 60) == 60.0
    assert len(house.at(due - BEFORE)) == 1


def test_a_disk_that_cannot_be_asked_is_asked_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said stays said."""
    house.learn("glm", 117)
    house.free = 20 * GB
    told = house.at(DUE - HOUR)

    def fail(*_: object) -> Look:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(rooms, "look", fail)
        assert house.at(DUE - HOUR / 2) == told
    house.free = 200 * GB
    assert house.at(DUE - HOUR / 4) == []


def test_without_cycles_nothing_is_low(house: House) -> None:
    """Whoever takes them out of the settings wants to hear no more of it."""
    house.learn("glm", 117)
    house.free = 20 * GB
    assert house.at(DUE - HOUR)
    house.settings = house.settings.model_copy(update={"nightly": ()})
    house.open()
    assert house.at(DUE) == []
    assert house.next_due(DUE) == EVERY


def test_what_a_worker_sees(tmp_path: Path) -> None:
    """The disk's free bytes, what jobs have written, and what the check wants; that is not known without a template."""
    root, data = Root(tmp_path / "root"), tmp_path / "data"
    root.create()
    shard = tmp_path / "output" / "checkpoint" / "rank_0" / "glm_rank_0-1_4.ckpt"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(bytes(100))
    template = tmp_path / "t.yaml"
    template.write_text(CONFIG.format(data=data, devices="[0,2)"))
    cycle = {"cron": "0 2 * * *", "template": template}
    nightly = [cycle | {"name": "glm"}, cycle | {"name": "none", "template": tmp_path / "none.yaml"}]
    given = {"root": root.path, "nightly": nightly, "training": {"mindformers": "0.8"}}
    settings = Settings.model_validate(given)
    seen = look(settings, root, [Next(one, DUE, {}) for one in settings.nightly], {7: tmp_path / "output"})
    assert seen.free > 0
    assert seen.taken == {7: 100}
    assert seen.estimates == {"glm": 83280, "none": None}, "that its data is not there yet is no matter"
