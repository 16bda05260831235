"""daemon.json says what the daemon is and what fails; it is written when that changes, and never too often."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.daemon_record import MOST_FAULTS, DaemonRecord, NextNight, is_alive, read_daemon_record
from daemon.core.request import Request
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.store import Store
from daemon.core.users import User
from daemon.serve import daemon_file
from daemon.serve.daemon_file import DaemonFile
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.service import Service

START = Moment(1000.0, datetime(2026, 11, 28, 18, tzinfo=UTC))
HOUR = timedelta(hours=1)


@dataclass
class Desk:
    """A file, and all that it is written from."""

    root: Root
    faults: Faults = field(default_factory=lambda: Faults(first_pause=0.0, longest_pause=0.0))
    now: Moment = START
    has_root: bool = True
    asked: list[datetime] = field(default_factory=list)
    night: datetime = START.wall + 8 * HOUR

    def __post_init__(self) -> None:
        """Make the file's writer."""
        self.file = DaemonFile(self.root.daemon, lambda: self.has_root, self.faults, START.wall)

    def nights(self, now: datetime) -> list[NextNight]:
        """Note that somebody asks."""
        self.asked.append(now)
        return [NextNight("glm", self.night)]

    def turn(self, seconds: float = 0.0, wall: timedelta | None = None) -> None:
        """Let time pass, and then a turn."""
        passed = timedelta(seconds=seconds) if wall is None else wall
        self.now = Moment(self.now.monotonic + seconds, self.now.wall + passed)
        self.file.turn(self.now)

    @property
    def said(self) -> DaemonRecord:
        """What the file says."""
        record = read_daemon_record(self.root)
        assert record is not None
        return record

    @property
    def inode(self) -> int:
        """Which file it is: another one after each writing."""
        return self.root.daemon.stat().st_ino


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return one over an empty root."""
    return Desk(Root(tmp_path))


def test_it_says_who_the_daemon_is(desk: Desk) -> None:
    """After the first turn; the group may read it."""
    desk.file.settings_read([0, 1], desk.nights, START.wall)
    desk.turn()
    assert is_alive(desk.said)
    assert (desk.said.started, desk.said.devices, desk.said.cycles) == (
        START.wall,
        (0, 1),
        tuple(desk.nights(START.wall)),
    )
    assert oct(desk.root.daemon.stat().st_mode) == "0o100640"
    assert [path.name for path in desk.root.path.iterdir()] == ["daemon.json"]


def test_it_is_written_on_change_only(desk: Desk) -> None:
    """A day of turns writes nothing: the same file is there."""
    desk.turn()
    before = desk.inode
    for _ in range(100):
        desk.turn(60.0)
        assert desk.file.next_due(desk.now.monotonic) is None
    assert desk.inode == before


def test_what_fails_is_told_with_its_first_time(desk: Desk) -> None:
    """However often it is tried again; and that it passed."""
    desk.faults.failed("disk", OSError(errno.ENOSPC, "it is full"))
    desk.turn()
    (first,) = desk.said.faults
    assert (first.what, first.reason) == ("disk", "[Errno 28] it is full")
    assert first.code
    desk.faults.failed("disk", OSError(errno.ENOSPC, "it is fuller"))
    desk.turn(2.0)
    assert desk.said.faults == (replace(first, reason="[Errno 28] it is fuller"),)
    desk.faults.passed("disk")
    desk.turn(2.0)
    assert desk.said.faults == ()


def test_a_flood_of_changes_is_written_once_a_second(desk: Desk) -> None:
    """The loop is told when to come back, so that the last of them is told too."""
    desk.turn()
    before = desk.inode
    for number in range(10):
        desk.faults.failed(f"job {number}", OSError("no"))
        desk.turn(0.05)
        assert desk.file.next_due(desk.now.monotonic) == pytest.approx(1.0 - 0.05 * (number + 1))
    assert desk.inode == before
    desk.turn(0.6)
    assert len(desk.said.faults) == 10
    assert desk.file.next_due(desk.now.monotonic) is None


def test_it_stays_small_whatever_fails(desk: Desk) -> None:
    """A reader takes it whole: thousands of faults with long reasons, in letters of three bytes."""
    for number in range(200):
        desk.faults.failed(f"claim of {number}" + "名" * 10_000, OSError("满" * 10_000))
    desk.turn()
    assert len(desk.said.faults) == MOST_FAULTS
    assert desk.said.faults[0].what.startswith("claim of 0")


def test_a_name_that_is_no_text_is_told_all_the_same(desk: Desk) -> None:
    """Names of dropped files are any bytes."""
    desk.faults.failed("claim of " + os.fsdecode(b"\xff\x1b.yaml"), OSError("no"))
    desk.turn()
    assert desk.said.faults[0].what == r"claim of \udcff\x1b.yaml"


def test_that_it_cannot_be_written_is_a_fault_of_its_own(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one stays, the loop goes on, and the file never speaks of itself: it would be written again for ever."""
    desk.turn()
    before, real = desk.said, daemon_file.publish_bytes

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(daemon_file, "publish_bytes", full)
    desk.faults.failed("disk", OSError("full"))
    desk.turn(2.0)
    assert "daemon.json: [Errno 28] No space left on device" in desk.faults.summary
    assert desk.said == before
    monkeypatch.setattr(daemon_file, "publish_bytes", real)
    desk.turn(2.0)
    assert "daemon.json" not in desk.faults.summary
    assert [fault.what for fault in desk.said.faults] == ["disk"]
    after = desk.inode
    desk.turn(2.0)
    assert desk.inode == after


def test_it_waits_for_no_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An fsync takes seconds where trainings save, and the loop would stand still."""
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("the disk was waited for"))
    desk.turn()
    assert is_alive(desk.said)


def test_when_nights_come_is_not_asked_each_turn(desk: Desk) -> None:
    """Only when one has come, when the settings are read, when a clock is set back, and once an hour."""
    desk.file.settings_read([0], desk.nights, START.wall)
    for _ in range(100):
        desk.turn(1.0)
    assert len(desk.asked) == 1
    desk.night += 24 * HOUR
    desk.turn(1.0, 8 * HOUR)
    assert desk.said.cycles == (NextNight("glm", desk.night),)
    desk.turn(1.0, -2 * HOUR)
    desk.turn(1.0, HOUR)
    assert len(desk.asked) == 4


def test_what_somebody_removed_is_there_again(desk: Desk) -> None:
    """Else a living daemon would look like none."""
    desk.turn()
    desk.root.daemon.unlink()
    desk.turn(2.0)
    assert is_alive(desk.said)


def test_nothing_is_written_into_another_root(desk: Desk) -> None:
    """The root was moved away, and what lies in its place is another daemon's."""
    desk.has_root = False
    desk.faults.failed("root", OSError("away"))
    desk.turn()
    desk.file.stop(START.wall)
    assert list(desk.root.path.iterdir()) == []


def test_a_stop_is_told_from_a_crash(desk: Desk) -> None:
    """The file says when; the next daemon's does not."""
    desk.turn()
    desk.file.stop(START.wall + HOUR)
    assert desk.said.stopped == START.wall + HOUR
    assert not is_alive(desk.said)
    Desk(desk.root).turn()
    assert desk.said.stopped is None


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Return a service over an empty root, whose loop does not run."""
    root = Root(tmp_path)
    root.create()
    with Store.open(root.store) as store, Waiting() as waiting:
        service = Service(Settings(root=tmp_path, devices=(3,)), None, root, store, waiting)
        yield service
        service._watch.stop()


def test_a_daemon_that_is_told_to_stop_says_so(service: Service) -> None:
    """`glmd serve` to its end."""
    service._stop = True
    service.run()
    record = read_daemon_record(service._root)
    assert record is not None
    assert record.stopped is not None


def test_a_daemon_that_breaks_does_not(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ended it: that it ended well is what it does not say."""

    def broken(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(service._waiting, "wait", broken)
    with pytest.raises(KeyboardInterrupt):
        service.run()
    record = read_daemon_record(service._root)
    assert record is not None
    assert record.stopped is None


def test_a_reload_is_told(service: Service) -> None:
    """With what the settings say now."""
    service.turn()
    first = read_daemon_record(service._root)
    (service._root.path / "glmd.yaml").write_text("devices: 0\n")
    service.answer(Request("reload"), User(0))
    service._daemon_file._not_before = 0.0
    service.turn()
    record = read_daemon_record(service._root)
    assert first is not None
    assert record is not None
    assert (first.devices, record.devices) == ((3,), (0,))
    assert record.settings_read > record.started == first.started


def test_a_change_just_now_brings_the_loop_back_in_a_second(service: Service) -> None:
    """It sleeps for a minute otherwise."""
    service.turn()
    service._faults.failed("disk", OSError("full"))
    service._faults._present["disk"] = replace(service._faults._present["disk"], due=0.0)
    service.turn()
    assert service._due <= service._daemon_file._not_before
