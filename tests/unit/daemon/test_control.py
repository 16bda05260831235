"""Clients and the daemon understand each other over the socket."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.control import BusyError, Control, NotRunningError, Request, RequestRefusedError, ask
from daemon.status import Presence, presence
from daemon.waiting import Waiting


def answer(request: Request) -> str:
    """Answer as a daemon would that knows job 1 only."""
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


def test_clients_that_do_not_ask_hold_up_the_loop_one_at_a_time(tmp_path: Path) -> None:
    """Between any two of them the loop turns, and shows signs of life."""
    with Control(tmp_path, answer) as control, contextlib.ExitStack() as clients:
        for _ in range(3):
            client = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            client.connect(str(tmp_path / "glmd.sock"))
        began = time.monotonic()
        control.serve()
        assert time.monotonic() - began < 2


def test_only_user_and_group_may_ask(tmp_path: Path) -> None:
    """Others cannot connect."""
    with daemon_at(tmp_path):
        assert (tmp_path / "glmd.sock").stat().st_mode & 0o777 == 0o660


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
