"""What clients can ask a running daemon: cancel, retry, promote, roll back, reload, ping, and what fails at present.

A Unix socket beside the store, one JSON object a packet each way. Who may connect is who may write to the socket:
the user and group glm. The kernel says who it is.
"""

import contextlib
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

from daemon.core.owner import ElsewhereError
from daemon.core.request import Pending, Reply, Request, RequestRefusedError, bounded
from daemon.core.root import SOCKET, Root
from daemon.core.users import User
from handlers.codes import Code

__all__ = [
    "BusyError",
    "Control",
    "NotAllowedError",
    "NotHereError",
    "NotRunningError",
    "Pending",
    "Request",
    "RequestRefusedError",
    "ask",
    "ask_for",
]

MAX_PACKET = 64 * 1024
MOST_CLIENTS = 64
"""Who are let in and do not ask; for one more, the one that has been there longest is sent away."""
_AGAIN = 0.02
"""Seconds until a client whom too many others are in front of tries again."""


class NotRunningError(Exception):
    """No daemon answers at this root."""

    code = Code.DAEMON_NOT_RUNNING


class NotHereError(NotRunningError):
    """It is another host's, and the socket can be reached there alone."""

    code = Code.DAEMON_ELSEWHERE


class NotAllowedError(NotRunningError):
    """One may answer, but not this user."""

    code = Code.DAEMON_NOT_ALLOWED


class BusyError(NotRunningError):
    """One is there, and did not answer in time, or hung up."""

    code = Code.DAEMON_BUSY


def ask(root: Path, action: str, job: int | None = None, *, timeout: float = 30.0) -> str:
    """Ask the daemon at `root` for an action, of a job perhaps, and return its answer, as `ask_for`."""
    return ask_for(root, Request(action, job), timeout=timeout)


def ask_for(root: Path, request: Request, *, timeout: float = 30.0) -> str:
    """Ask the daemon at `root` and return its answer.

    Raises NotRunningError when none is there, NotHereError, NotAllowedError, BusyError, and RequestRefusedError when it
    says no.
    """
    deadline, directory = time.monotonic() + timeout, root
    try:
        directory = Root(root).kept
        with _address(directory) as address, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            _connect(client, address, deadline)
            client.settimeout(max(deadline - time.monotonic(), _AGAIN))
            client.send(request.packet())
            packet = client.recv(MAX_PACKET)
    except ElsewhereError as error:
        raise NotHereError(str(error)) from error
    except PermissionError as error:
        raise NotAllowedError(f"{directory / SOCKET}: not allowed; are you in the group glm?") from error
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise NotRunningError(f"glmd does not run at {root}; start it: systemctl start glmd, or glmd serve") from error
    except (ConnectionResetError, BrokenPipeError) as error:
        raise BusyError(
            f"glmd at {root} closed the connection: it ended, or has too many files open; see systemctl status glmd"
        ) from error
    except TimeoutError as error:
        raise BusyError(
            f"glmd at {root} is busy: it did not answer within {timeout:g} s; ask again, or see systemctl status glmd"
        ) from error
    if not packet:
        raise BusyError(
            f"glmd at {root} closed the connection before it answered: it ended, or gave up waiting; ask again"
        )
    try:
        reply = Reply.read(packet)
    except ValueError as error:
        raise NotRunningError(f"glmd at {root} gave no answer that this version understands") from error
    if not reply.ok:
        raise RequestRefusedError(reply.answer, reply.code)
    return reply.answer


def _connect(client: socket.socket, address: str, deadline: float) -> None:
    """Connect as soon as there is room in the queue of those who wait; raises TimeoutError when there is none."""
    client.settimeout(0.0)
    while True:
        try:
            client.connect(address)
        except BlockingIOError:  # the queue is full, and the kernel wakes nobody who does not block
            if time.monotonic() >= deadline:
                raise TimeoutError from None
            time.sleep(_AGAIN)
        else:
            return


class Control:
    """The daemon's end of the socket.

    `answer` gets what is asked and who asks; it returns the text of a yes, or what will have it, and raises
    RequestRefusedError for a no.
    """

    def __init__(self, directory: Path, answer: Callable[[Request, User], str | Pending]) -> None:
        """`directory` is where the socket is to be: Root.kept."""
        self._answer = answer
        self._directory = directory
        self._clients: list[socket.socket] = []
        """Those who were let in and have not asked yet, the longest there first."""
        self._socket = self._listening()
        self._ready = selectors.EpollSelector()
        self._ready.register(self._socket, selectors.EVENT_READ)
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._file = self._there()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()
        with contextlib.suppress(OSError):
            if self._there() == self._file:  # and not another daemon's
                self._path.unlink()

    @property
    def is_reachable(self) -> bool:
        """Whether clients find this socket by its name: nobody removed or replaced it. Raises OSError."""
        return self._there() == self._file

    def listen_again(self) -> None:
        """Be reachable by the name again. Raises OSError, and all is as before."""
        again = self._listening()
        self._ready.unregister(self._socket)
        self._socket.close()
        self._socket, self._file = again, self._there()
        self._ready.register(self._socket, selectors.EVENT_READ)

    @property
    def _path(self) -> Path:
        return self._directory / SOCKET

    def _there(self) -> tuple[int, int] | None:
        """Tell which file has the socket's name now."""
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _listening(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._path.unlink(missing_ok=True)  # the caller holds the root's lock: who left it is gone
            with _address(self._directory) as address:
                listening.bind(address)
            self._path.chmod(0o660)
            listening.setblocking(False)
            listening.listen(16)
        except BaseException:
            listening.close()
            raise
        return listening

    def _close(self) -> None:
        self._ready.close()
        for client in (self._socket, *self._clients):
            client.close()
        os.close(self._spare)

    def fileno(self) -> int:
        """Return a descriptor that is readable when a client has come, or has asked."""
        return self._ready.fileno()

    def serve(self) -> None:
        """Let in a client that has come, and answer one that has asked; the loop waits for none of them.

        The next one makes the descriptor readable again: so many clients cannot keep the loop from turning.
        """
        self._let_in()
        ready = [key.fileobj for key, _ in self._ready.select(0)]
        if (client := next((client for client in self._clients if client in ready), None)) is not None:
            with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
                stack.enter_context(self._let_go(client))
                asks = User.at_the_other_end(client)
                reply = self._reply(client.recv(MAX_PACKET), asks)
                if isinstance(reply, Pending):
                    stack.pop_all()
                    reply.then(partial(_send, client))
                else:
                    client.send(reply.packet())

    def _let_in(self) -> None:
        try:
            client, _ = self._socket.accept()
        except BlockingIOError:  # it has gone again
            return
        except OSError:
            self._turn_away()
            return
        client.setblocking(False)
        self._clients.append(client)
        self._ready.register(client, selectors.EVENT_READ)
        if len(self._clients) > MOST_CLIENTS:
            self._let_go(self._clients[0]).close()

    def _let_go(self, client: socket.socket) -> socket.socket:
        """Expect nothing more of `client`; the caller closes it."""
        self._ready.unregister(client)
        self._clients.remove(client)
        return client

    def _turn_away(self) -> None:
        """Hang up on a client for which there is no descriptor: the loop would else wake for it for ever."""
        os.close(self._spare)
        try:
            with contextlib.suppress(OSError):
                self._socket.accept()[0].close()
        finally:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _reply(self, packet: bytes, asks: User) -> Reply | Pending:
        try:
            request = Request.read(packet)
        except (ValueError, RecursionError):
            return Reply(ok=False, answer="not a request that this glmd understands")
        try:
            answer = self._answer(request, asks)
            return answer if isinstance(answer, Pending) else Reply(ok=True, answer=bounded(answer))
        except RequestRefusedError as error:
            return Reply(ok=False, answer=bounded(str(error)), code=error.code)


def _send(client: socket.socket, reply: Reply) -> None:
    """Send a client its reply, if it still waits for that, and hang up."""
    with client, contextlib.suppress(OSError):
        client.send(reply.packet())


@contextlib.contextmanager
def _address(place: Path) -> Iterator[str]:
    """Yield an address for the socket in `place` that fits the 107 bytes of such an address, however long that is."""
    directory = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET}"
    finally:
        os.close(directory)
