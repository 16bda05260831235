"""What may hang, or takes memory, is done by a child: a forked process that answers, or is killed after its time."""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar, cast

from handlers.host.prctl import die_with

_FORK = multiprocessing.get_context("fork")
"""This process has one thread, so it may; a new interpreter would take 0.1 s each time."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Raised:
    """The child has raised an exception, of which the text is left out: it may hold a secret."""

    kind: str
    """Its type."""
    where: str
    """The lines of code that it came through, the last one last."""


@dataclass(frozen=True)
class Died:
    """The child has ended without an answer."""


@dataclass(frozen=True)
class TimedOut:
    """The child was killed: its time was up."""


NoAnswer = Raised | Died | TimedOut


@dataclass(frozen=True)
class Child(Generic[Result]):
    """One that works."""

    process: BaseProcess
    link: Connection
    until: float
    """On the monotonic clock."""
    then: Callable[[Result | NoAnswer], None]


class Children:
    """Those that work, each known by its key."""

    def __init__(self) -> None:
        self._children: dict[str, Child[object]] = {}
        self._ended: dict[str, Callable[[], None]] = {}
        """What is to be done with the answers of those that have ended, until that was done."""

    def __contains__(self, key: str) -> bool:
        return key in self._children or key in self._ended

    def __len__(self) -> int:
        return len(self._children)

    def start(
        self, key: str, work: Callable[[], Result], then: Callable[[Result | NoAnswer], None], *, seconds: float
    ) -> None:
        """Let a child do `work`, and call `then` with what came of it, from `deliver`. Raises OSError.

        The result has to be picklable.
        """
        ours, theirs = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_do, args=(work, theirs, os.getpid()), daemon=True)
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._children[key] = cast("Child[object]", Child(process, ours, time.monotonic() + seconds, then))

    @property
    def links(self) -> list[Connection]:
        """What can be read once one of them has ended."""
        return [child.link for child in self._children.values()]

    def deliver(self) -> None:
        """Take what has come from those that ended or whose time is up.

        Raises what taking one raises, once the others had their turn. Its answer is kept for the next call: what was
        sent is not sent again for lack of a note.
        """
        ready = set(wait(self.links, timeout=0))
        now = time.monotonic()
        for key, child in list(self._children.items()):
            if child.link in ready:
                answer = _answer(child.link)
            elif now >= child.until:
                answer = TimedOut()
            else:
                continue
            self._end(key)
            self._ended[key] = partial(child.then, answer)
        failed: Exception | None = None
        for key, take in list(self._ended.items()):
            try:
                take()
            except Exception as error:  # noqa: BLE001 - raised below, once the others had their turn
                failed = failed or error
            else:
                del self._ended[key]
        if failed is not None:
            raise failed

    def stop(self) -> None:
        """End all; nothing of them is delivered."""
        for key in list(self._children):
            self._end(key)

    def _end(self, key: str) -> None:
        child = self._children.pop(key)
        child.link.close()
        child.process.kill()
        child.process.join(1.0)  # one that hangs in the kernel is reaped by a later start
        with suppress(ValueError):
            child.process.close()


def result_of(work: Callable[[], Result], *, seconds: float) -> Result | NoAnswer:
    """Let a child do `work`, and wait for what comes of it. Raises OSError."""
    found: list[Result | NoAnswer] = []
    children = Children()
    children.start("work", work, found.append, seconds=seconds)
    while not found:
        wait(children.links, timeout=seconds)
        children.deliver()
    return found[0]


def _answer(link: Connection) -> object:
    try:
        return link.recv()
    except (EOFError, OSError):
        return Died()


def _do(work: Callable[[], object], link: Connection, parent: int) -> None:
    die_with(parent)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    try:
        answer: object = work()
    except Exception as error:  # noqa: BLE001 - it is told by its type
        frames = traceback.extract_tb(error.__traceback__)
        where = ", ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in frames)  # noqa: PTH119 - a text
        answer = Raised(type(error).__name__, where)
    link.send(answer)
