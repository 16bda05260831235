"""What a process apart does: one piece of work, under the eyes of the daemon."""

import contextlib
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from daemon.serve.apart.messages import Entering, Left, Order, Pass, Raised, Report, Resting, Returned, Working
from handlers import events
from handlers.host.reach import DoesNotAnswerError, set_guard


class Link:
    """A work's way to the daemon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextlib.contextmanager
    def entering(self, mount: str, path: Path) -> Iterator[None]:
        """Ask before `mount` is touched, and tell when it has answered; raises DoesNotAnswerError."""
        self._connection.send(Entering(mount, path))
        answer = self._connection.recv()
        if isinstance(answer, Pass) and answer.refused:
            raise DoesNotAnswerError(path, answer.refused)
        yield
        self._connection.send(Left())

    def tell(self, value: object) -> None:
        """Tell the daemon something, and go on."""
        self._connection.send(Report(value))

    def rest(self) -> None:
        """Tell the daemon that there is nothing to do: that it hears nothing means nothing, until `work`."""
        self._connection.send(Resting())

    def work(self) -> None:
        """Tell the daemon that there is something to do again."""
        self._connection.send(Working())

    def fileno(self) -> int:
        """Return what becomes readable when the daemon has ended, or wants this work no more."""
        return self._connection.fileno()


_link: Link | None = None


def link() -> Link:
    """Return this process's way to the daemon; raises RuntimeError in any other process."""
    if _link is None:
        raise RuntimeError("this is no process apart")
    return _link


def work(connection: Connection) -> None:
    """Say who this is, get the work, do it, and tell what came of it. Raises EOFError when the daemon has ended."""
    global _link  # noqa: PLW0603 - this process does nothing else
    _link = Link(connection)
    set_guard(_link)
    connection.send(os.getpid())
    order: Order = connection.recv()
    events.configure(format=order.events.format, level=order.events.level)
    try:
        answer: Returned | Raised = Returned(order.work())
    except BaseException as error:  # noqa: BLE001 - raised again in the daemon
        answer = Raised.of(error)
    connection.send(answer)
