"""The process of `glmd notify serve`: a loop that turns once a second, and whenever a child has ended."""

import contextlib
import fcntl
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType

import structlog

from daemon.core.database import with_remedy
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.face.children import Children, NoAnswer, result_of
from daemon.face.notify.heartbeat import Heartbeat
from daemon.face.notify.looking import Looking
from daemon.face.notify.outbox import Outbox
from daemon.face.notify.outbox_file import OutboxError
from daemon.face.notify.plan import Files, Plan
from daemon.face.notify.sending import Clock, Sending
from daemon.face.notify.standing import Standing
from daemon.face.notify.tasks import plan_of
from handlers import events
from handlers.codes import Code
from handlers.errors import BadInputError, RefusedError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

TURN_EVERY = 1.0
"""Seconds."""
AFTER_A_FAULT = 5.0
"""Seconds until the next turn after one in which the outbox could not be used."""
READS_WITHIN = 30.0
"""Seconds that reading the settings may take."""
FORGET_EVERY = 6 * 3600.0
"""Seconds between two times at which what was sent long ago is forgotten."""
_READING = "reading settings"  # no destination has a space in its name


class AnotherNotifierError(RefusedError):
    """Another process sends from the same outbox."""

    code = Code.NOTIFY_ALREADY_RUNNING


def serve(files: Files) -> None:
    """Send until TERM or INT. Raises BadInputError for settings, AnotherNotifierError and OutboxError."""
    plan = _first_plan(files)
    events.configure(format=plan.log_format, level=plan.log_level)
    Root(plan.root).refuse_elsewhere()
    with _only_one(files.state), Outbox.open(files.state) as outbox:
        Notifier(plan, outbox, files).run()


def _first_plan(files: Files) -> Plan:
    found = result_of(partial(plan_of, files), seconds=READS_WITHIN)
    if isinstance(found, Plan):
        return found
    text = found if isinstance(found, str) else f"the settings could not be read: {found}"
    raise BadInputError(text, Code.SETTINGS_UNUSABLE)


@contextlib.contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Hold the lock of the outbox in `state`. Raises AnotherNotifierError, and OutboxError where it cannot be had."""
    path = state / "outbox.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutboxError(
            f"{path}: {error.strerror}; name a directory of this user's own: --state DIR, or STATE_DIRECTORY"
        ) from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: a child that hangs would hold it, too
    except (BlockingIOError, PermissionError) as error:
        os.close(descriptor)
        text = f"{path}: another glmd notify serve sends from there; stop that first, or give this one another --state"
        raise AnotherNotifierError(text) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _now() -> datetime:
    return datetime.now(UTC)


class Notifier:
    """The parts of the process, and the loop that gives each its turn."""

    def __init__(self, plan: Plan, outbox: Outbox, files: Files, clock: Clock = _now) -> None:
        self._plan = plan
        self._outbox = outbox
        self._files = files
        self._clock = clock
        self._children = Children()
        self._looking = Looking(plan, outbox)
        self._sending = Sending(plan, outbox, files.credentials, self._children, clock)
        self._heartbeat = Heartbeat(files.credentials, self._children)
        self._forget_due = 0.0
        self._published_changes: int | None = None
        """How many changes the outbox had had when how it stands was published last; None before that."""
        self._stop = False
        self._reload = False

    def run(self) -> None:
        """Turn until told to stop."""
        with self._signals() as woken:
            log.info(
                "notifier_ready", root=str(self._plan.root), destinations=[one.name for one in self._plan.destinations]
            )
            while not self._stop:
                pause = TURN_EVERY if self.turn() else AFTER_A_FAULT
                if self._looking.is_behind:
                    pause = 0.0
                wait([woken, *self._children.links], timeout=pause)
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
        self._children.stop()
        log.info("notifier_stopped")

    def turn(self) -> bool:
        """Take every step that can be taken now; return whether each went well. Raises OutboxError for damage."""
        parts = (
            self._read_again,
            self._children.deliver,
            self._look,
            self._send,
            self._beat,
            self._forget,
            self._tell_how_it_stands,
        )
        went_well = [self._attempt(part) for part in parts]
        return all(went_well)

    def _attempt(self, part: Callable[[], None]) -> bool:
        """Do a part; what fails is logged and tried again, and holds up no other."""
        try:
            part()
        except sqlite3.Error as error:
            if not may_pass(error):
                raise OutboxError(f"{self._outbox.path}: {error}") from error
            log.error("outbox_fault", reason=with_remedy(error, self._outbox.path))  # noqa: TRY400 - it says it all
        except OSError as error:
            log.error("notifier_fault", reason=str(error))  # noqa: TRY400 - as above
        except Exception:
            log.exception("defect", part=part.__name__, code=Code.GLMD_DEFECT)
        else:
            return True
        return False

    def _read_again(self) -> None:
        if self._reload and _READING not in self._children:
            self._reload = False
            self._children.start(_READING, partial(plan_of, self._files), self._read, seconds=READS_WITHIN)

    def _look(self) -> None:
        self._looking.look(self._clock())

    def _send(self) -> None:
        self._sending.turn(self._clock(), is_behind=self._looking.is_behind)

    def _beat(self) -> None:
        self._heartbeat.turn(self._plan.heartbeat, is_well=self._looking.is_well)

    def _forget(self) -> None:
        if time.monotonic() >= self._forget_due:
            self._forget_due = time.monotonic() + FORGET_EVERY
            self._outbox.forget(self._clock())

    def _tell_how_it_stands(self) -> None:
        changes = self._outbox.changes
        if self._files.runtime is None or changes == self._published_changes:
            return
        standing = self._outbox.standing([one.name for one in self._plan.destinations])
        Standing(self._plan.root, standing).publish(self._files.runtime)
        self._published_changes = changes

    def _read(self, plan: Plan | str | NoAnswer) -> None:
        """Go on by the settings as they are now; where they are wrong, by those of before."""
        if not isinstance(plan, Plan):
            log.error("settings_refused", reason=plan if isinstance(plan, str) else repr(plan))
            return
        self._plan = self._looking.plan = plan
        self._published_changes = None
        self._sending.use(plan)
        events.configure(format=plan.log_format, level=plan.log_level)
        log.info("settings_read", destinations=[one.name for one in plan.destinations])

    @contextlib.contextmanager
    def _signals(self) -> Iterator[int]:
        """Let TERM, INT and HUP wake the loop for the length of the block; yield what can be read then."""
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signalled)
        before = signal.set_wakeup_fd(writing)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(before)
            os.close(reading)
            os.close(writing)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self._stop = True
