"""sd_notify against a real datagram socket."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.serve.loop import systemd as notify


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Listen as systemd does, on either kind of address."""
    name = f"glmd-test-{os.getpid()}"
    address, shown = {"path": (str(tmp_path / name),) * 2, "abstract": (f"\0{name}", f"@{name}")}[request.param]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", shown)
        yield listener


def received(systemd: socket.socket) -> list[str]:
    """Return the lines of the next datagram."""
    return systemd.recv(4096).decode().split("\n")


def test_ready_and_status_arrive_in_one_datagram(systemd: socket.socket) -> None:
    """`systemctl status` never shows a ready daemon with the old line."""
    assert notify.ready("idle")
    assert received(systemd) == ["READY=1", "STATUS=idle"]


def test_each_message_has_the_words_of_sd_notify(systemd: socket.socket) -> None:
    """Words are those of sd_notify(3)."""
    notify.status("job 0042 trains: epoch 3/31, Verlust ↓")
    notify.watchdog()
    notify.stopping("jobs go on")
    assert received(systemd) == ["STATUS=job 0042 trains: epoch 3/31, Verlust ↓"]
    assert received(systemd) == ["WATCHDOG=1"]
    assert received(systemd) == ["STOPPING=1", "STATUS=jobs go on"]


def test_reloading_carries_the_monotonic_clock(systemd: socket.socket) -> None:
    """The time lies between two readings of CLOCK_MONOTONIC, in microseconds."""
    before = time.monotonic_ns() // 1000
    notify.reloading()
    after = time.monotonic_ns() // 1000
    word, clock, _status = received(systemd)
    assert word == "RELOADING=1"
    assert before <= int(clock.removeprefix("MONOTONIC_USEC=")) <= after


def test_a_status_stays_one_line(systemd: socket.socket) -> None:
    """A job's name cannot smuggle in another field."""
    notify.status("one\nREADY=1\r\nWATCHDOG=trigger")
    assert received(systemd) == ["STATUS=one READY=1 WATCHDOG=trigger"]


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """`glmd serve` in a terminal needs no systemd."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.ready("idle")


def test_a_socket_that_is_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that systemd did not get is not taken for sent."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        notify.watchdog()


@pytest.mark.parametrize(
    ("limit", "process", "expected"),
    (
        ("30000000", str(os.getpid()), 15.0),
        ("30000000", None, 15.0),
        ("30000000", "1", None),
        (None, None, None),
        ("", None, None),
    ),
    ids=("meant for this process", "for any", "for another one", "no limit", "an empty one"),
)
def test_watchdog_interval_is_half_of_the_limit(
    monkeypatch: pytest.MonkeyPatch, limit: str | None, process: str | None, expected: float | None
) -> None:
    """Half of the limit, and only for the process it is meant for."""
    for name, value in (("WATCHDOG_USEC", limit), ("WATCHDOG_PID", process)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert notify.watchdog_interval() == expected


def test_a_manager_that_is_stuck_stops_nothing(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its queue is full, an error comes soon, for the loop to try again later; it would else be killed itself."""
    del systemd  # listens, and reads nothing
    monkeypatch.setattr(notify, "PATIENCE", 0.01)
    with pytest.raises(OSError):  # noqa: PT011, PT012 - which one depends on the kernel; the queue's length, too
        for _ in range(10_000):
            notify.watchdog()
