"""The process: where it listens, what it takes over, and when it ends."""

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from daemon.core.settings import Settings
from daemon.face.web import process
from daemon.face.web.app import Application
from daemon.face.web.plan import PagePlan
from daemon.face.web.site import Site
from handlers.errors import BadInputError

GLMD = [sys.executable, "-m", "daemon.cli", "web"]


@contextlib.contextmanager
def served(root: Path, *argv: str, **kwargs: object) -> Iterator[subprocess.Popen[bytes]]:
    """Let `glmd web` run."""
    root.mkdir(exist_ok=True)
    with subprocess.Popen([*GLMD, "--root", str(root), *argv], stderr=subprocess.PIPE, **kwargs) as child:  # type: ignore[call-overload] # a test's
        try:
            yield child
        finally:
            child.kill()


class Unix(http.client.HTTPConnection):
    """Asks over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = str(path)

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def asked(connection: http.client.HTTPConnection, path: str = "/healthz") -> int:
    """Return the status that is answered."""
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def until_it_listens(path: Path) -> None:
    """Wait for a socket."""
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            assert asked(Unix(path)) == 200
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_socket_of_its_own(tmp_path: Path) -> None:
    """Its group may connect and nobody else; one that was left over is taken, one in use is not; none is left."""
    path = tmp_path / "web.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left_over:
        left_over.bind(str(path))
    with served(tmp_path / "root", "--listen", str(path)) as child:
        until_it_listens(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert asked(Unix(path), "/") == 200
        second = subprocess.run(
            [*GLMD, "--root", str(tmp_path / "root"), "--listen", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 2
        assert "glmd web cannot listen there" in second.stderr
        with contextlib.closing(Unix(path)) as stream:
            stream.request("GET", "/events?of=now")
            assert stream.getresponse().status == 200
            began = time.monotonic()
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0
            assert time.monotonic() - began < 6, "an open stream must not hold it up"
    assert not path.exists()


def test_a_socket_that_was_handed_over(tmp_path: Path) -> None:
    """As systemd does it; without anybody who looks the process ends by itself after a while."""
    path = tmp_path / "web.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        listening.listen()
        program = (
            f"import os; os.dup2({listening.fileno()}, 3)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
            "from daemon.face.web import process; process.IDLE = 0.5\n"
            f"import sys; sys.argv = ['glmd', 'web', '--root', {str(tmp_path)!r}]\n"
            "from daemon.cli import main; main()"
        )
        child = subprocess.Popen([sys.executable, "-c", program], pass_fds=[listening.fileno()], stderr=subprocess.PIPE)
        with child:
            try:
                assert asked(Unix(path)) == 200
                assert child.wait(20) == 0
            finally:
                child.kill()
        assert path.exists()


@pytest.mark.parametrize(
    "where",
    ("0.0.0.0:8470", "10.0.0.1:80", "localhost", "127.0.0.1:0", "127.0.0.1:99999", "web.sock", "auto.example:80"),
)
def test_where_it_does_not_listen(tmp_path: Path, where: str) -> None:
    """Others reach it by ssh or a proxy."""
    with pytest.raises(BadInputError) as error:
        process.serve(PagePlan.of(Settings(root=tmp_path)), where)
    assert error.value.code == "web.listen"


@pytest.mark.parametrize("trouble", ("a directory is missing", "a file is in its way", "the port is taken"))
def test_where_it_cannot_listen(tmp_path: Path, trouble: str) -> None:
    """It says where, why, and what else may do; and a stranger's file stays."""
    path = tmp_path / "web.sock"
    where = str(tmp_path / "no" / "web.sock")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        if trouble == "a file is in its way":
            path.write_text("mine")
            where = str(path)
        if trouble == "the port is taken":
            where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BadInputError, match=r"glmd web cannot listen there: .*--listen"):
            process.serve(PagePlan.of(Settings(root=tmp_path)), where)
    assert trouble != "a file is in its way" or path.read_text() == "mine"


def test_only_its_own_descriptors_are_taken() -> None:
    """LISTEN_FDS of somebody else's are none of ours, sd_listen_fds(3)."""
    assert process._handed_over({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert process._handed_over({"LISTEN_FDS": "1"}) == []
    assert process._handed_over({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) == []


def test_its_bounds(tmp_path: Path) -> None:
    """No websocket, no header of who serves, and as many connections as it can bear."""
    config = process._config(Application(Site.of(PagePlan.of(Settings(root=tmp_path)))))
    assert config.ws == "none"
    assert config.limit_concurrency == process.MOST_CONNECTIONS
    assert config.h11_max_incomplete_event_size == 8192
    assert not config.server_header
    assert not config.proxy_headers


def test_memory_is_given_back_once_after_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while nobody asks: that would take a processor for nothing."""
    given: list[int] = []
    monkeypatch.setattr(process, "_give_back", lambda: given.append(server.server_state.total_requests))
    server = process._Server(uvicorn.Config(lambda: None, log_config=None), idle=None)
    server.config.load()

    def tick(times: int) -> None:
        for number in range(1, times + 1):
            assert asyncio.run(server.on_tick(number)) is False

    tick(120)
    assert given == []
    server.server_state.total_requests = 3
    tick(120)
    assert given == [3]
