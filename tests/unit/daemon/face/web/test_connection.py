"""Promises of daemon.face.web.connection: whoever does nothing keeps nobody else away from the page."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.face.web.process import MOST_CONNECTIONS
from tests.unit.daemon.face.diary import TRAINING, Diary, utc

SERVES = """
import sys
from daemon.face.web import connection
connection.REQUEST_WITHIN, connection.READ_WITHIN = 0.5, 0.5
sys.argv = ["glmd", "web", "--root", sys.argv[1], "--listen", sys.argv[2]]
from daemon.cli import main
main()
"""
ASKS = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Served:
    """A page that waits for half a second each."""

    def __init__(self, child: "subprocess.Popen[bytes]", path: Path) -> None:
        self._child = child
        self._path = str(path)

    def connected(self, sends: bytes = b"") -> socket.socket:
        """Connect, and send something."""
        opened = socket.socket(socket.AF_UNIX)
        opened.settimeout(30)
        opened.connect(self._path)
        opened.sendall(sends)
        return opened

    def said(self, sends: bytes) -> bytes:
        """Return all that is answered."""
        with self.connected(sends) as opened:
            return b"".join(iter(lambda: opened.recv(1 << 16), b""))

    def sockets(self) -> int:
        """Return how many the process has open."""
        directory = Path(f"/proc/{self._child.pid}/fd")
        found = 0
        for each in directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += str(each.readlink()).startswith("socket:")
        return found


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return a page with a job whose log is long."""
    diary = Diary(tmp_path / "root")
    job = diary.job("run", utc("2026-11-28 02:00"), *TRAINING)
    log = job.directory(diary.root.path).rank_log(0)
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * 100 + b"\n" * (32 << 20))
    path = tmp_path / "web.sock"
    command = [sys.executable, "-c", SERVES, str(diary.root.path), str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as child:
        try:
            until(path.exists)
            page = Served(child, path)
            assert page.said(ASKS).endswith(b"ok\n")
            yield page
        finally:
            child.kill()


@pytest.mark.parametrize("part", (b"", b"G", ASKS[:-2], ASKS.replace(b"Connection: close", b"Content-Length: 9")))
def test_who_sends_no_whole_request_is_sent_away(served: Served, part: bytes) -> None:
    """With words, where no answer was given yet; a byte now and then does not help."""
    before = served.sockets()
    with served.connected(part) as slow:
        said = b""
        with contextlib.suppress(ConnectionError):
            while piece := slow.recv(1 << 16):
                said += piece
                with contextlib.suppress(OSError):
                    slow.sendall(b"x")
    assert (b" 408 " in said and b"no whole request" in said) or said.endswith(b"ok\n")
    until(lambda: served.sockets() == before)


def test_a_hundred_who_say_nothing_do_not_hold_it(served: Served) -> None:
    """For others it is there again after the limit."""
    with contextlib.ExitStack() as open_ones:
        for _ in range(MOST_CONNECTIONS + 10):
            open_ones.enter_context(served.connected(b"GET / HT"))
        until(lambda: served.said(ASKS).endswith(b"ok\n"))


def test_who_does_not_read_is_sent_away(served: Served) -> None:
    """However much is still to be sent."""
    before = served.sockets()
    with served.connected(b"GET /jobs/1/log/raw?rank=0 HTTP/1.1\r\nHost: localhost\r\n\r\n") as deaf:
        until(lambda: served.sockets() > before)
        until(lambda: served.sockets() == before)
        assert deaf.fileno() >= 0
    assert served.said(ASKS).endswith(b"ok\n")


def test_who_looks_at_a_stream_stays(served: Served) -> None:
    """Their request is whole, and they read."""
    with served.connected(b"GET /events?of=now HTTP/1.1\r\nHost: localhost\r\n\r\n") as looks:
        said = b""
        while b"data: " not in said:
            piece = looks.recv(1 << 16)
            assert piece
            said += piece
        looks.settimeout(2)
        with pytest.raises(TimeoutError):  # longer than both limits, and it is not closed
            b"".join(iter(lambda: looks.recv(1 << 16), b""))
