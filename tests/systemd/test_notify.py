"""What has the network has nothing else: glmd-notify reads what glmd knows, and cannot touch it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.box import ADDRESS, PREFIX, PROBE, PYTHON, Box, comes_last, probe

pytestmark = pytest.mark.systemd

GLMD = f"{PREFIX}/bin/glmd"
UNIT = "glmd-notify.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d/probe.conf"
STATE = Path("/var/lib/private/glmd-notify")
CREDENTIALS = Path("/etc/glmd/credentials")
ROBOT = "https://robot.example/which-nobody-else-may-know"
TO_THE_END = f"[Service]\nType=oneshot\nRestart=no\n{PROBE}"
FOR_LONG = f"[Service]\n{PROBE}"
LASTING = """
import pathlib, os, signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
def try_the_socket():
    try:
        with socket.socket(socket.AF_UNIX) as client: client.connect("/var/glm/glmd.sock")
    except OSError as error:
        return str(error)
    return "it answers"
said = pathlib.Path(os.environ["STATE_DIRECTORY"], "said")
said.write_text(try_the_socket())
signal.sigwait([signal.SIGHUP])
said.write_text("after a reload: " + try_the_socket())
signal.pause()
"""

NAMES = r"""
import socket
server = socket.socket(fileno=3)
while True:
    query, asks = server.recvfrom(512)
    end = query.index(0, 12) + 5
    is_a = query[end - 4 : end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((192, 0, 2, 7)) if is_a else b""
    server.sendto(query[:2] + b"\x81\x80\0\1\0" + bytes([is_a]) + b"\0\0\0\0" + query[12:end] + answer, asks)
"""
"""A name server for which every host has one address, of the kind that RFC 1035 calls A."""


RECEIVER = """
import http.server, pathlib
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with open("/run/received", "ab") as file: file.write(body + b"\\n")
        self.send_response(204); self.end_headers()
    log_message = lambda *_: None
http.server.HTTPServer(("", 8766), Receiver).serve_forever()
"""


@pytest.fixture(scope="module", autouse=True)
def daemon(box: Box) -> Iterator[None]:
    """Let glmd run beside it."""
    box.run("systemctl", "start", "glmd")
    yield
    box.run("systemctl", "stop", "glmd")


@pytest.fixture(autouse=True)
def secret(box: Box) -> Iterator[None]:
    """Set a credential as docs/install.md says, let the unit run the probe, and leave nothing of both."""
    box.write(str(CREDENTIALS / "team"), ROBOT)
    drop_in(box, TO_THE_END)
    yield
    box.run("systemctl", "stop", UNIT)
    box.run("systemctl", "reset-failed", UNIT, check=False)
    box.run("rm", "-rf", DROP_IN, str(STATE / "said"), str(CREDENTIALS / "team"))
    box.run("systemctl", "daemon-reload")


def drop_in(box: Box, content: str) -> None:
    """Change the unit."""
    box.write(DROP_IN, content)
    box.run("systemctl", "daemon-reload")


@pytest.fixture
def lasting(box: Box) -> str:
    """Start a probe that stays, and return its pid."""
    drop_in(box, FOR_LONG)
    box.write("/run/probe.py", LASTING)
    box.run("systemctl", "start", UNIT)
    box.until(lambda: said(box) != "", "the probe says something")
    return box.shows(UNIT, "MainPID")


def said(box: Box) -> str:
    """Return what the lasting probe has found."""
    return box.run("cat", str(STATE / "said"), check=False).stdout


def of_the_daemon(box: Box) -> str:
    """Return by which it would be seen that something happened to glmd.service."""
    names = ("MainPID", "ActiveState", "SubState", "NRestarts", "StateChangeTimestampMonotonic", "StatusText")
    return box.say("systemctl", "show", f"--property={','.join(names)}", "glmd.service")


def test_it_reads_what_the_daemon_knows(box: Box) -> None:
    """The store while it is written, and that its daemon lives, though that is another user's and hidden by nothing."""
    probe(
        box,
        UNIT,
        """
        import contextlib, pathlib
        from daemon.core.daemon_record import is_alive, read_daemon_record
        from daemon.core.reading import open_for_reading
        from daemon.core.root import Root
        root = Root(pathlib.Path("/var/glm"))
        assert root.store.with_name("glmd.db-wal").exists() and root.store.with_name("glmd.db-shm").exists()
        with contextlib.closing(open_for_reading(root.store)) as store:
            store.execute("SELECT * FROM transitions").fetchall()
            store.execute("SELECT * FROM notices").fetchall()
        assert is_alive(read_daemon_record(root))
        """,
    )


def test_it_writes_its_own_state_only(box: Box) -> None:
    """Not even into the inbox, where others of its group drop files: a message's receiver shall start no training."""
    probe(
        box,
        UNIT,
        """
        import errno, os, pathlib, sqlite3, tempfile
        state = pathlib.Path(os.environ["STATE_DIRECTORY"])
        assert oct(state.stat().st_mode) == "0o40700", oct(state.stat().st_mode)
        assert pathlib.Path.home() == state
        with sqlite3.connect(state / "probe.db") as base:
            base.execute("PRAGMA journal_mode=WAL"); base.execute("CREATE TABLE IF NOT EXISTS t (a)")
        base.close()
        (state / "probe.db").unlink()
        tempfile.TemporaryFile()
        in_root = ("/var/glm", "/var/glm/inbox", "/var/glm/jobs", "/var/glm/latest")
        for path in (*in_root, "/etc", "/usr", "/var/lib", "/run"):
            try:
                pathlib.Path(path, "probe").touch()
            except OSError as error:
                assert error.errno in (errno.EROFS, errno.EACCES), error
                assert path not in in_root or error.errno == errno.EROFS, error
            else:
                raise AssertionError(path)
        """,
    )


def test_it_has_the_network(box: Box) -> None:
    """A host's address can be reached, and names are asked of /etc/resolv.conf's servers, without any Unix socket."""
    ear = ("--unit=ear", f"--socket-property=ListenStream={ADDRESS}:8765", "true")
    box.run("systemd-run", "--quiet", *ear)  # systemd itself listens
    box.write("/run/names.py", NAMES)
    names = ("--unit=names", f"--socket-property=ListenDatagram={ADDRESS}:53", PYTHON, "/run/names.py")
    box.run("systemd-run", "--quiet", *names)
    before = box.say("cat", "/etc/resolv.conf")
    box.write("/etc/resolv.conf", f"nameserver {ADDRESS}\n")
    try:
        probe(
            box,
            UNIT,
            f"""
            import socket, ssl
            socket.create_connection(("{ADDRESS}", 8765), 10).close()
            assert {{to[0] for *_, to in socket.getaddrinfo("robot.example", 25)}} == {{"192.0.2.7"}}
            ssl.create_default_context()
            """,
        )
    finally:
        box.write("/etc/resolv.conf", before)
        box.run("systemctl", "stop", "ear.socket", "ear.service", "names.socket", "names.service")


def test_the_daemons_socket_is_out_of_its_reach(box: Box, lasting: str) -> None:
    """Also when a new daemon has made a new one: what may not make a Unix socket needs no path that is closed to it."""
    assert "Address family not supported" in said(box)
    box.run("systemctl", "restart", "glmd")
    box.run("systemctl", "reload", UNIT)
    box.until(lambda: said(box).startswith("after a reload: "), "the probe was told to reload")
    assert "Address family not supported" in said(box)
    assert box.shows(UNIT, "MainPID") == lasting


def test_its_credentials_are_its_own(box: Box, lasting: str) -> None:
    """Not the daemon's, whose jobs run strangers' programs, nor the group's; and not in its environment."""
    file = "/run/credentials/glmd-notify.service/notify_team"
    assert box.say("cat", file) == ROBOT
    for user in ("glm", "alice", "bob"):
        assert box.run("cat", file, user=user, check=False).returncode != 0
        assert box.run("ls", str(CREDENTIALS), user=user, check=False).returncode != 0
    assert ROBOT not in box.say("cat", f"/proc/{lasting}/environ", f"/proc/{lasting}/cmdline")
    assert ROBOT not in box.say("systemctl", "show", UNIT, user="bob")
    box.run("systemctl", "stop", UNIT)
    drop_in(box, TO_THE_END)
    probe(
        box,
        UNIT,
        f"""
        import os, pathlib
        files = pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"]).iterdir()
        assert {{path.name: path.read_text() for path in files}} == {{"notify": "none", "notify_team": "{ROBOT}"}}
        """,
    )


@pytest.mark.parametrize("there", (True, False))
def test_it_starts_without_credentials(box: Box, *, there: bool) -> None:
    """With none in the directory, and without the directory: it says itself what it lacks."""
    box.run("rm", "-r", str(CREDENTIALS))
    if there:
        box.run("mkdir", "-m", "700", str(CREDENTIALS))
    try:
        probe(box, UNIT, 'import os; assert "notify_team" not in os.listdir(os.environ["CREDENTIALS_DIRECTORY"])')
    finally:
        box.run("mkdir", "-p", "-m", "700", str(CREDENTIALS))


def test_trainings_come_first(box: Box) -> None:
    """It yields the processor to them, is the first to go when memory runs out, and has little of both."""
    comes_last(box, UNIT)


def test_the_daemon_does_not_notice_its_end(box: Box, lasting: str) -> None:
    """Killed, as when it has too much memory, it is started again; stopped, it stays so; glmd goes on through both."""
    before = of_the_daemon(box)
    box.run("kill", "-KILL", lasting)
    box.until(lambda: box.shows(UNIT, "SubState") == "auto-restart", "it is to be started again")
    box.run("systemctl", "stop", UNIT)
    assert box.shows(UNIT, "ActiveState") in {"inactive", "failed"}
    assert of_the_daemon(box) == before


def test_the_daemon_starts_where_it_is_missing(box: Box) -> None:
    """As where no such unit is installed."""
    box.run("systemctl", "mask", "--runtime", UNIT)
    try:
        box.run("systemctl", "restart", "glmd")
        assert box.shows("glmd.service", "ActiveState") == "active"
    finally:
        box.run("systemctl", "unmask", "--runtime", UNIT)


def test_wrong_settings_are_not_tried_again(box: Box) -> None:
    """Exit code 2: nothing but an edit would mend them."""
    drop_in(box, FOR_LONG)
    box.write("/run/probe.py", "raise SystemExit(2)")
    box.run("systemctl", "start", UNIT)
    box.until(lambda: box.shows(UNIT, "ActiveState") == "failed", "it has ended")
    assert box.shows(UNIT, "SubState") == "failed"


def test_the_unit_tells_what_happens(box: Box) -> None:
    """As docs/install.md says: a credential, a destination, `systemctl enable --now`; and root sees what was sent."""
    settings = box.say("cat", "/etc/glmd/glmd.yaml")
    told = '[{"name": "team", "url": "credential:team", "events": ["*"]}]'
    box.write("/etc/glmd/glmd.yaml", f'{{"notify": {{"destinations": {told}}}}}')
    box.write(str(CREDENTIALS / "team"), f"http://{ADDRESS}:8766/a-token-of-mine")
    box.write("/run/receiver.py", RECEIVER)
    box.run("systemd-run", "--quiet", "--unit=receiver", PYTHON, "/run/receiver.py")
    box.run("rm", DROP_IN)
    box.run("systemctl", "daemon-reload")
    try:
        box.run("systemctl", "start", UNIT)
        box.until(lambda: "sent" in box.run(GLMD, "notify", "test", "team", check=False).stdout, "a try is taken")
        box.until(lambda: box.run("test", "-e", str(STATE / "outbox.db-wal"), check=False).returncode == 0, "it looks")
        box.write("/var/glm/inbox/wrong.yaml", "not: a training", user="alice")
        box.until(lambda: "job.rejected" in received(box), "the message")
        box.until(lambda: "job.rejected" in box.say(GLMD, "notify", "list", "--json"), "it is shown")
        assert json.loads(received(box).splitlines()[-1])["data"]["job"]["state"] == "rejected"
        assert box.run(GLMD, "notify", "list", user="alice", check=False).returncode == 1
        assert f"http://{ADDRESS}/•••" in box.run(GLMD, "doctor", check=False).stdout
        box.run("systemctl", "reload", UNIT)
        box.until(lambda: "settings_read" in journal(box), "the settings are read again")
        assert "a-token-of-mine" not in journal(box)
        assert int(box.shows(UNIT, "NRestarts")) == 0
    finally:
        box.write("/etc/glmd/glmd.yaml", settings)
        box.run("systemctl", "stop", "receiver")


def received(box: Box) -> str:
    """Return what the receiver was sent."""
    return box.run("cat", "/run/received", check=False).stdout


def journal(box: Box) -> str:
    """Return what the unit has logged."""
    return box.say("journalctl", "--unit", UNIT, "--output=cat", "--no-pager")
