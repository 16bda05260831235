"""The daemon's side of processes apart: having work done in one, and giving it up when it hangs."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import TypeVar, cast

import structlog

from daemon.serve.apart import zygote
from daemon.serve.apart.messages import Entering, Left, Order, Pass, Raised, Report, Resting, Returned, Work
from daemon.serve.apart.mounts import Mounts, does_not_answer
from handlers.events import configured
from handlers.host.reach import DoesNotAnswerError
from handlers.host.service_manager import for_children
from handlers.records.process import has_ended

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Result = TypeVar("Result")

ANSWERS_WITHIN = 5.0
"""Seconds that a file system may take for one answer."""
SIGN_WITHIN = 300.0
"""Seconds that work may take between two signs of life. The longest: eight cards whose hccn_tool hangs, 240 s."""
STARTS_WITHIN = 60.0
"""Seconds until a process is there to do it: on a busy host, the first one waits for all imports."""
DIES_WITHIN = 1.0
"""Seconds after which a killed process counts as given up."""


class StoppedError(Exception):
    """Nobody wants this work any more."""


class DiedError(Exception):
    """A process apart died of its work, twice."""


@dataclass(eq=False)
class _Process:
    """One process apart, as the thread sees it that waits for it."""

    socket: socket.socket
    link: Connection
    pidfd: int
    place: Entering | None = None
    """Where it is, while it is in a file system that may not answer."""
    since: datetime = field(default_factory=lambda: datetime.now(UTC).astimezone())
    is_resting: bool = False
    is_stopped: bool = False

    def stop(self) -> None:
        """End it, and wake the thread that waits for it; to be called by any other."""
        self.is_stopped = True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # it may hang, and hold its end open for ever

    @property
    def patience(self) -> float | None:
        """For how many seconds to wait for its next sign."""
        return None if self.is_resting else ANSWERS_WITHIN if self.place else SIGN_WITHIN


class Apart:
    """Runs work in processes apart, one for each piece, on behalf of any thread.

    Work has to be picklable, as have its result and its exceptions. Where it is killed it has, once `run` returns, done
    its last step: nothing of it happens later, but for the one system call that hangs.
    """

    def __init__(self) -> None:
        self._mounts = Mounts()
        self._lock = threading.Lock()
        self._processes: dict[Hashable, _Process] = {}
        self._zygote: subprocess.Popen[bytes] | None = None
        self._to_zygote: socket.socket | None = None
        self._is_closed = False

    def start(self) -> None:
        """Begin to make ready, so that the first work need not wait for it. Raises OSError."""
        with self._lock:
            self._start_zygote()

    def run(
        self, key: Hashable, work: Callable[[], Result], on_report: Callable[[object], None] | None = None
    ) -> Result:
        """Do `work`, known by `key`, and return or raise what comes of it; `on_report` gets what it tells meanwhile.

        Raises DoesNotAnswerError when it hangs, StoppedError after `stop`, DiedError, and OSError where no process can
        be had.
        """
        for _ in range(2):
            with self._process(key) as process:
                try:
                    answer = self._converse(process, work, on_report or _ignore)
                except (EOFError, ConnectionError):  # the other end has hung up
                    if process.is_stopped:
                        raise StoppedError from None
                    log.warning("process_apart_died", key=str(key))
                    continue
                if isinstance(answer, Raised):
                    raise answer.error()
                return cast("Result", answer.value)
        raise DiedError(
            "the process that did this was killed, twice: was it short of memory? See dmesg and the journal"
        )

    def stop(self, key: Hashable) -> None:
        """Let `run` of this key come to its end now; without one, do nothing."""
        with self._lock:
            if process := self._processes.get(key):
                process.stop()

    def close(self) -> None:
        """Stop everything; nothing can be run afterwards."""
        with self._lock:
            self._is_closed = True
            for process in self._processes.values():
                process.stop()
            if self._to_zygote is not None:
                self._to_zygote.close()
            if self._zygote is not None:
                self._zygote.kill()  # and the kernel kills what it has forked
                self._zygote.wait()
            self._mounts.close()

    # One process

    @contextlib.contextmanager
    def _process(self, key: Hashable) -> Iterator[_Process]:
        process = self._fork(key)
        try:
            yield process
        finally:
            with self._lock:
                if self._processes.get(key) is process:
                    del self._processes[key]
            self._let_go(process)

    def _fork(self, key: Hashable) -> _Process:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                with self._lock:
                    self._send_to_zygote(theirs)
            except BaseException:
                ours.close()
                raise
        link = Connection(os.dup(ours.fileno()))
        try:
            pidfd = os.pidfd_open(_pid(link))  # it lives until it gets its work
        except BaseException as error:
            ours.close()
            link.close()
            if isinstance(error, EOFError):
                raise BlockingIOError(
                    errno.EAGAIN, "no process could be forked; see the limits of processes, memory"
                ) from error
            raise
        process = _Process(ours, link, pidfd)
        with self._lock:
            self._processes[key] = process
            if self._is_closed:
                process.stop()
        return process

    def _let_go(self, process: _Process) -> None:
        """Make sure that it does nothing more, and forget it."""
        if not has_ended(process.pidfd):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
        process.socket.close()
        process.link.close()
        mount = process.place.mount if process.place else ""
        if has_ended(process.pidfd, DIES_WITHIN):
            os.close(process.pidfd)
            self._mounts.ended(mount)
        else:
            self._mounts.given_up(mount, process.pidfd)

    def _converse(self, process: _Process, work: Work, on_report: Callable[[object], None]) -> Returned | Raised:
        """Let `process` do `work`, and return what came of it. Raises EOFError or ConnectionError when it hangs up."""
        process.link.send(Order(work, configured()))
        while process.link.poll(process.patience):
            message = process.link.recv()
            process.is_resting = False
            match message:
                case Entering(mount, _):
                    refused = self._mounts.enter(mount, ANSWERS_WITHIN)
                    process.place, process.since = (None if refused else message), datetime.now(UTC).astimezone()
                    process.link.send(Pass(refused))
                case Left() if process.place is not None:
                    self._mounts.left(process.place.mount)
                    process.place = None
                case Resting():
                    process.is_resting = True
                case Report(value):
                    on_report(value)
                case Returned() | Raised():
                    return message
        if process.place is None:
            raise TimeoutError(
                errno.ETIMEDOUT, f"no sign of life for {SIGN_WITHIN:g} s from the process that does this"
            )
        self._mounts.fell_silent(process.place.mount, process.since)
        raise DoesNotAnswerError(process.place.path, does_not_answer(process.since))

    # The zygote

    def _send_to_zygote(self, descriptor: socket.socket) -> None:
        """Hand over one end of a new process's link; the lock is held. Raises OSError."""
        for is_last in (False, True):
            try:
                socket.send_fds(self._start_zygote(), [b"\0"], [descriptor.fileno()])
            except ConnectionError:  # it died, as of want of memory
                if is_last:
                    raise
            else:
                return

    def _start_zygote(self) -> socket.socket:
        if self._is_closed:
            raise StoppedError
        if self._zygote is not None and self._to_zygote is not None:
            if self._zygote.poll() is None:
                return self._to_zygote
            log.error("zygote_died", code=self._zygote.returncode)
            self._to_zygote.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._zygote = subprocess.Popen(
                [sys.executable, "-P", "-m", zygote.__name__],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=for_children(os.environ),
            )
        self._to_zygote = ours
        return ours


def _pid(link: Connection) -> int:
    """Return who has come up at the other end."""
    if not link.poll(STARTS_WITHIN):
        raise TimeoutError(errno.ETIMEDOUT, f"no process started within {STARTS_WITHIN:g} s; is the host very busy?")
    return int(link.recv())


def _ignore(value: object) -> None:
    del value
