"""Clients and the daemon understand each other over the socket."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.core.control import (
    MOST_CLIENTS,
    BusyError,
    Control,
    NotRunningError,
    Pending,
    Request,
    RequestRefusedError,
    ask,
)
from daemon.core.presence import Presence, presence
from daemon.core.users import User
from daemon.serve.loop.waiting import Waiting
from handlers.codes import Code


def answer(request: Request, by: User) -> str:
    """Answer as a daemon would that knows job 1 only."""
    if request.action == "who":
        return f"{by.number} {by.name}"
    if request.job not in {None, 1}:
        raise RequestRefusedError(f"there is no job {request.job}")
    return f"{request.action} {request.job}"


@contextmanager
def daemon_at(root: Path) -> Iterator[None]:
    """Serve requests at `root` in this thread's loop while the block's client runs in another."""
    with Control(root, answer) as control, daemon_that_serves(control):
        yield


@contextmanager
def daemon_that_serves(control: Control) -> Iterator[None]:
    """Serve requests in another thread while the block runs."""
    stop = threading.Event()
    with Waiting() as waiting:
        waiting.watch(control.fileno(), control.serve)

        def loop() -> None:
            while not stop.is_set():
                waiting.wait(5)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            waiting.wake()
            thread.join()


def test_a_request_is_answered(tmp_path: Path) -> None:
    """The client gets the daemon's text."""
    with daemon_at(tmp_path):
        assert ask(tmp_path, "cancel", 1) == "cancel 1"


def test_a_no_says_why(tmp_path: Path) -> None:
    """A refusal is an exception with the daemon's reason."""
    with daemon_at(tmp_path), pytest.raises(RequestRefusedError, match="there is no job 7"):
        ask(tmp_path, "cancel", 7)


@pytest.mark.parametrize(
    "packet",
    (b"", b"{", b"null", b"1", b"[" * 60_000, b'{"action": "cancel", "job": true}', b'{"action": "cancel", "job": 1.0}',
     b'{"action": 1, "job": 1}', b'{"action": "cancel", "job": ' + b"9" * 5000 + b"}"),
)  # fmt: skip
def test_what_is_no_request_gets_a_no(tmp_path: Path, packet: bytes) -> None:
    """Whatever a client sends: `true` is not job 1."""
    with daemon_at(tmp_path), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(10)
        client.connect(str(tmp_path / "glmd.sock"))
        client.send(packet)
        assert json.loads(client.recv(1 << 16)) == {"ok": False, "answer": "not a request that this glmd understands"}


@pytest.mark.parametrize("packet", (b"{", b"null", b'{"ok": true}', b'{"ok": 1, "answer": "x", "more": 2}'))
def test_what_is_no_answer_is_told(tmp_path: Path, packet: bytes) -> None:
    """Whatever serves the socket: the client says so, without a traceback."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(tmp_path / "glmd.sock"))
        server.listen()

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1 << 16)
                client.send(packet)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NotRunningError, match="no answer that this version understands"):
            ask(tmp_path, "ping")
        thread.join()


def test_what_is_asked_for_besides_arrives() -> None:
    """And what an older daemon knows is sent as it knows it."""
    asked = Request("promote", 7, reason="it is better", force=True)
    assert Request.read(asked.packet()) == asked
    assert Request.read(Request("rollback", prefix="glm-6b").packet()) == Request("rollback", None, "glm-6b")
    assert json.loads(Request("cancel", 1).packet()) == {"action": "cancel", "job": 1}
    for more in ('"prefix": 1', '"reason": null', '"force": 1'):
        with pytest.raises(ValueError, match="not a request"):
            Request.read(f'{{"action": "promote", "job": 7, {more}}}'.encode())


@pytest.mark.parametrize("late", (False, True))
def test_an_answer_that_is_not_known_yet_follows(tmp_path: Path, *, late: bool) -> None:
    """The loop serves others meanwhile; it may as well be known at once."""
    pending: list[Pending] = []

    def answer_later(request: Request, by: User) -> str | Pending:
        if request.action == "ping":
            for one in pending:
                one.settle("at last")
            return answer(request, by)
        pending.append(Pending())
        if not late:
            pending[0].refuse(RequestRefusedError("no", Code.JOB_OVER))
        return pending[0]

    with Control(tmp_path, answer_later) as control, daemon_that_serves(control), ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, tmp_path, "promote", 1)
        if late:
            while not pending and not asked.done():
                time.sleep(0.01)
            ask(tmp_path, "ping")
            assert asked.result(30) == "at last"
        else:
            with pytest.raises(RequestRefusedError, match="no") as raised:
                asked.result(30)
            assert raised.value.code == Code.JOB_OVER


def test_who_does_not_wait_for_a_late_answer_harms_nobody(tmp_path: Path) -> None:
    """He has hung up; the answer goes nowhere."""
    pending = Pending()

    def answer_late(request: Request, by: User) -> str | Pending:
        return pending if request.action == "promote" else answer(request, by)

    with Control(tmp_path, answer_late) as control, daemon_that_serves(control):
        with pytest.raises(BusyError):
            ask(tmp_path, "promote", 1, timeout=0.2)
        pending.settle("too late")
        assert ask(tmp_path, "ping") == "ping None"


def test_a_very_long_root_works(tmp_path: Path) -> None:
    """A Unix socket's address holds 107 bytes; roots may be longer."""
    root = tmp_path / ("x" * 120)
    root.mkdir()
    with daemon_at(root):
        assert ask(root, "ping") == "ping None"


def test_without_a_daemon_it_is_said(tmp_path: Path) -> None:
    """Nobody there, or a socket that a killed daemon left: the client says how to start one."""
    with pytest.raises(NotRunningError, match="systemctl start glmd"):
        ask(tmp_path, "ping")
    with daemon_at(tmp_path):
        left = tmp_path / "left.sock"
        (tmp_path / "glmd.sock").rename(left)
    left.rename(tmp_path / "glmd.sock")
    with pytest.raises(NotRunningError, match="does not run"):
        ask(tmp_path, "ping")


def test_a_socket_left_by_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    """The next daemon can listen."""
    (tmp_path / "glmd.sock").write_bytes(b"")
    with daemon_at(tmp_path):
        assert ask(tmp_path, "ping") == "ping None"


def test_a_socket_that_is_removed_can_be_made_again(tmp_path: Path) -> None:
    """Clients find the daemon again; another daemon's socket is not removed at the end."""
    with Control(tmp_path, answer) as control:
        assert control.is_reachable
        (tmp_path / "glmd.sock").unlink()
        assert not control.is_reachable
        control.listen_again()
        assert control.is_reachable
        with daemon_that_serves(control):
            assert ask(tmp_path, "ping") == "ping None"
        (tmp_path / "glmd.sock").unlink()
        (tmp_path / "glmd.sock").touch()
    assert (tmp_path / "glmd.sock").exists()


def test_clients_that_do_not_ask_hold_up_nobody(tmp_path: Path) -> None:
    """However many: the loop waits for none of them, another one is answered, and descriptors do not run out."""
    with Control(tmp_path, answer) as control, contextlib.ExitStack() as clients:
        began, silent = time.monotonic(), []
        for _ in range(MOST_CLIENTS + 10):
            client = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            client.settimeout(10)
            client.connect(str(tmp_path / "glmd.sock"))
            silent.append(client)
            control.serve()
        assert time.monotonic() - began < 1
        assert silent[0].recv(1) == b""
        with daemon_that_serves(control):
            assert ask(tmp_path, "cancel", 1) == "cancel 1"
            silent[-1].send(b'{"action": "late", "job": 1}')
            assert json.loads(silent[-1].recv(1 << 16)) == {"ok": True, "answer": "late 1"}


def test_an_answer_fits_into_a_packet(tmp_path: Path) -> None:
    """However long what it tells of is, and whatever letters are in it."""
    with Control(tmp_path, lambda *_: "\U0001f40d\ud800" * 100_000) as control, daemon_that_serves(control):
        assert ask(tmp_path, "ping").startswith("\U0001f40d\ud800")


def test_only_user_and_group_may_ask(tmp_path: Path) -> None:
    """Others cannot connect."""
    with daemon_at(tmp_path):
        assert (tmp_path / "glmd.sock").stat().st_mode & 0o777 == 0o660


@pytest.mark.root
def test_the_kernel_says_who_asks(tmp_path: Path) -> None:
    """Whatever a client writes: who connected counts."""
    asks = (
        "import os, socket; os.setuid(12345); s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
        's.connect("glmd.sock"); s.send(b\'{"action": "who", "job": 1, "uid": 0}\'); print(s.recv(100).decode())'
    )
    tmp_path.chmod(0o711)
    with daemon_at(tmp_path):
        (tmp_path / "glmd.sock").chmod(0o666)
        done = subprocess.run(
            [sys.executable, "-c", asks], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=30, check=True
        )
    assert json.loads(done.stdout) == {"ok": True, "answer": "12345 12345"}


def test_a_client_waits_for_its_turn_in_a_flood(tmp_path: Path) -> None:
    """As long as it has time; then it is told that the daemon is busy, and not what the kernel calls that."""
    with Control(tmp_path, answer) as control, contextlib.ExitStack() as clients:
        with pytest.raises(BlockingIOError):  # noqa: PT012 - until there is no room any more
            while True:
                client = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                client.setblocking(False)
                client.connect(str(tmp_path / "glmd.sock"))
        with pytest.raises(BusyError, match=r"is busy: it did not answer within 0\.1 s"):
            ask(tmp_path, "cancel", 1, timeout=0.1)
        clients.close()
        with daemon_that_serves(control):
            assert ask(tmp_path, "cancel", 1) == "cancel 1"


def test_who_may_not_ask_and_who_is_not_answered_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a daemon that is not there, whose jobs do not go on."""
    assert presence(tmp_path) is Presence.ABSENT
    with Control(tmp_path, answer) as control:
        assert presence(tmp_path) is Presence.BUSY
        with daemon_that_serves(control):
            assert presence(tmp_path) is Presence.ANSWERS
            monkeypatch.setattr(socket, "socket", NotAllowed)
            assert presence(tmp_path) is Presence.UNKNOWN


class NotAllowed(socket.socket):
    """A client's socket on a system where root too may be refused."""

    def connect(self, address: object) -> None:
        """Refuse."""
        raise PermissionError(13, "Permission denied", address)


def test_a_refusal_has_its_code(tmp_path: Path) -> None:
    """It crosses the socket, so that programs can tell what stands against it."""

    def refuse(_request: Request, _by: User) -> str:
        raise RequestRefusedError("no", "job.over")

    with Control(tmp_path, refuse) as control, daemon_that_serves(control):
        with pytest.raises(RequestRefusedError) as raised:
            ask(tmp_path, "cancel", 1)
        assert (str(raised.value), raised.value.code) == ("no", "job.over")
