"""What shows what glmd knows can do nothing else: glmd-web reads, answers at one socket, and reaches nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.box import PREFIX, PROBE, PYTHON, Box, comes_last, probe

pytestmark = pytest.mark.systemd

GLMD = f"{PREFIX}/bin/glmd"
SOCKET, UNIT = "glmd-web.socket", "glmd-web.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d/probe.conf"
STORE = Path("/var/glm/glmd.db")
DOWN = "glmd does not run here"
ASK = """
import http.client, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX); self.sock.settimeout(30); self.sock.connect("/run/glmd/web.sock")
for path in sys.argv[1:]:
    connection = Unix("localhost"); connection.request("GET", path); answer = connection.getresponse()
    print(answer.status, answer.read().decode())
"""
IDLE = """
import sys
from daemon.cli import main
from daemon.face.web import process
process.IDLE, sys.argv = 0.3, ["glmd", "web", "--root", "/var/glm"]
main()
"""


@pytest.fixture(scope="module", autouse=True)
def page(box: Box) -> Iterator[None]:
    """Let the socket be there, and a job that was rejected."""
    box.write("/run/ask.py", ASK)
    box.run("systemctl", "start", "glmd", SOCKET)
    box.write("/var/glm/inbox/of-web.yaml", "not: a training", user="alice")
    box.until(lambda: "of-web" in box.say(GLMD, "status", "--all", "--root", "/var/glm"), "a job")
    yield
    box.run("systemctl", "stop", SOCKET, UNIT, "glmd")


@pytest.fixture
def probed(box: Box) -> Iterator[None]:
    """Let the unit run the probe instead."""
    box.run("systemctl", "stop", UNIT)
    box.write(DROP_IN, f"[Service]\nType=oneshot\nRestart=no\n{PROBE}")
    box.run("systemctl", "daemon-reload")
    yield
    box.run("rm", DROP_IN)
    box.run("systemctl", "daemon-reload")


def ask(box: Box, *paths: str, user: str = "alice") -> str:
    """Return what is answered."""
    return box.say(PYTHON, "/run/ask.py", *paths, user=user)


def test_it_starts_when_somebody_asks(box: Box) -> None:
    """Not before; those of group glm may ask, and nobody else."""
    box.run("systemctl", "stop", UNIT)
    assert box.shows(UNIT, "ActiveState") == "inactive"
    assert box.say("stat", "--format=%U:%G %a", "/run/glmd/web.sock") == "root:glm 660"
    assert "of-web" in ask(box, "/")
    assert box.shows(UNIT, "ActiveState") == "active"
    refused = box.run(PYTHON, "/run/ask.py", "/", user="bob", check=False)
    assert "PermissionError" in refused.stderr


def test_it_shows_what_is_there_however_the_daemon_is(box: Box) -> None:
    """Up, killed, up again, stopped; without a write to the store's directory, which SQLite might want."""
    listed = box.say(GLMD, "status", "--all", "--root", "/var/glm").splitlines()
    job = next(line.split()[0] for line in listed if "of-web" in line)  # others may have had jobs before
    pages = ("/", f"/jobs/{job}", f"/jobs/{job}/failure")

    def shown(*, is_up: bool) -> bool:
        answers = ask(box, *pages)
        assert answers.count("200 ") >= len(pages), answers
        assert "of-web" in answers
        return (f'id="bar">▲ {DOWN}' not in answers) == is_up

    box.until(lambda: shown(is_up=True), "the daemon is there")
    serving = box.shows(UNIT, "MainPID")
    box.write("/run/systemd/system/glmd.service.d/stays.conf", "[Service]\nRestart=no\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "kill", "--signal=KILL", "glmd")
    box.until(lambda: shown(is_up=False), "it is seen to be killed")
    assert box.run("test", "-e", f"{STORE}-wal", check=False).returncode == 0, "a kill leaves it"
    box.run("rm", "/run/systemd/system/glmd.service.d/stays.conf")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "reset-failed", "glmd")
    box.run("systemctl", "start", "glmd")
    box.until(lambda: shown(is_up=True), "it is there again")
    box.run("systemctl", "stop", "glmd")
    box.until(lambda: shown(is_up=False), "it is seen to be stopped")
    assert box.run("test", "-e", f"{STORE}-wal", check=False).returncode != 0, "a clean end leaves none"
    box.run("systemctl", "start", "glmd")
    assert box.shows(UNIT, "MainPID") == serving


@pytest.mark.usefixtures("probed")
def test_it_can_write_nothing(box: Box) -> None:
    """Not into the inbox, where others of its group drop files: who looks shall start no training."""
    probe(
        box,
        UNIT,
        """
        import errno, os, pathlib
        assert (pathlib.Path("/var/glm/glmd.db").read_bytes()[:6], os.getgroups() != []) == (b"SQLite", True)
        in_root = ("/var/glm", "/var/glm/inbox", "/var/glm/jobs", "/var/glm/latest")
        for path in (*in_root, "/etc", "/usr", "/run", "/var/lib"):
            try:
                pathlib.Path(path, "probe").touch()
            except OSError as error:
                assert error.errno in (errno.EROFS, errno.EACCES), error
                assert path not in in_root or error.errno == errno.EROFS, error
            else:
                raise AssertionError(path)
        """,
    )


@pytest.mark.usefixtures("probed")
def test_it_reaches_nothing(box: Box) -> None:
    """Neither the daemon's socket, also after the daemon has made a new one, nor any network."""
    box.run("systemctl", "restart", "glmd")
    probe(
        box,
        UNIT,
        """
        import asyncio, pathlib, socket
        assert pathlib.Path("/var/glm/glmd.sock").is_socket()
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            try:
                socket.socket(family).close()
            except OSError:
                continue
            raise AssertionError(family)
        assert "card0" not in pathlib.Path("/proc/self/net/dev").read_text()
        given = socket.socket(fileno=3)
        try:
            given.connect("/var/glm/glmd.sock")
        except OSError:
            pass
        else:
            raise AssertionError("the socket that it listens at")
        asyncio.run(asyncio.sleep(0))
        """,
    )


@pytest.mark.usefixtures("probed")
def test_trainings_come_first(box: Box) -> None:
    """It yields the processor to them, is the first to go when memory runs out, and has little of both."""
    comes_last(box, UNIT)


def test_it_ends_when_nobody_asks_and_comes_back(box: Box) -> None:
    """An unused page costs nothing; a page that is killed is there for the next who asks."""
    box.write("/run/idle.py", IDLE)
    box.write(DROP_IN, f"[Service]\nExecStart=\nExecStart={PYTHON} -I /run/idle.py\n")
    box.run("systemctl", "daemon-reload")
    try:
        box.run("systemctl", "stop", UNIT)
        assert "of-web" in ask(box, "/")
        box.until(lambda: box.shows(UNIT, "ActiveState") == "inactive", "it ends")
        assert box.shows(UNIT, "Result") == "success"
    finally:
        box.run("rm", DROP_IN)
        box.run("systemctl", "daemon-reload")
    assert "of-web" in ask(box, "/")
    box.run("systemctl", "kill", "--signal=KILL", UNIT)
    assert "of-web" in ask(box, "/")


ACTIONS = """
import socket
from pathlib import Path
from daemon.core.control import ask
print(ask(Path("/var/glm"), "ping"))
try:
    socket.socket(socket.AF_INET)
except OSError as error:
    print("no network:", error)
"""


def played(box: Box, program: str, drop_in: str, *besides: str) -> str:
    """Return what a program prints in the page's place, with a drop-in that comes with it and what runs besides."""
    box.write("/run/played.py", program)
    opens = (Path(__file__).parents[2] / "systemd" / drop_in).read_text()
    runs = f"StandardOutput=file:/run/played.out\nExecStart=\nExecStart={PYTHON} /run/played.py\n"
    box.run("systemctl", "stop", SOCKET, UNIT)
    box.write(DROP_IN, f"{opens}Type=oneshot\nRestart=no\n{runs}")
    try:
        box.run("systemctl", "daemon-reload")
        box.run("rm", "-f", "/run/played.out")
        box.run("systemctl", "start", *besides, UNIT)
        return box.say("cat", "/run/played.out")
    finally:
        box.run("rm", DROP_IN)
        box.run("systemctl", "daemon-reload")
        box.run("systemctl", "start", SOCKET)


def test_with_actions_it_reaches_the_daemon_and_still_no_network(box: Box) -> None:
    """The drop-in of docs/web.md opens Unix sockets alone."""
    printed = played(box, ACTIONS, "glmd-web-actions.conf", "glmd")
    assert "no network" in printed
    assert len(printed.splitlines()) > 1, printed


EXPORTER = """
import socket
from daemon.face.web.npu_exporter import NpuExporter
with socket.create_server(("127.0.0.1", 0)) as server:
    print("loopback:", server.getsockname()[0])
print(NpuExporter("http://127.0.0.1:1/metrics").readings().why)
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as error:
    print("no other network:", error)
try:
    socket.socket(socket.AF_UNIX)
except OSError as error:
    print("no daemon:", error)
"""


def test_with_an_exporter_it_reaches_loopback_alone(box: Box) -> None:
    """The drop-in of docs/web.md opens neither the daemon's socket nor another host."""
    printed = played(box, EXPORTER, "glmd-web-exporter.conf")
    assert "loopback: 127.0.0.1" in printed
    assert "Connection refused" in printed
    assert "no other network" in printed
    assert "no daemon" in printed
