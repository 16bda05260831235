"""A merge by the shim of its job: that beats meanwhile, and hears what the daemon wants, as a training's does."""

import signal
import threading
import time
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Self

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import OutputExistsError
from handlers.event_lines import Log
from handlers.records.nodes import Control, NodesDir, Request
from handlers.records.nodes_plan import LONGEST_BEAT
from handlers.records.step_exit import Outcome
from handlers.shim.finish import merge_at_home
from handlers.shim.home import Home
from handlers.shim.instance import StepRun
from handlers.shim.supervise import StepEnd
from handlers.shim.termination import LOOK_EVERY
from handlers.shim.wakeups import Wakeups

OF_A_LOST_HOST = 180.0
"""Seconds for which a file server may keep the locks of a client that is gone: Linux' nfsd does for 90."""

_LOOKS_A_BEAT = round(LONGEST_BEAT / LOOK_EVERY)


def merge_until_stopped(run: StepRun, directory: NodesDir, home: Home, wakeups: Wakeups, log: Log) -> StepEnd:
    """Merge, until somebody wants that to end. Raises CkptError, HandlerError and OSError."""
    with _Listening(directory, log) as listening:
        end = _merge(run, home, wakeups, log)
    if end.outcome is not Outcome.CANCELLED:
        return end
    if listening.stop is not None:
        return replace(end, reason=f"stopped by {listening.stop}")
    return replace(end, outcome=Outcome.ENDED_OUTSIDE, reason=f"{end.reason} from Slurm")


def _merge(run: StepRun, home: Home, wakeups: Wakeups, log: Log) -> StepEnd:
    """Merge, when nobody else does: the lock of one on a host that is lost is freed by the file server, in its time."""
    deadline, is_logged = time.monotonic() + OF_A_LOST_HOST, False
    while True:
        try:
            return merge_at_home(run, home, wakeups, log)
        except OutputExistsError as error:
            if error.code is not Code.UNDER_WAY or wakeups.stop is not None or time.monotonic() > deadline:
                raise
            if not is_logged:
                log.warning("merge_waits", reason=str(error))
        is_logged = True
        wakeups.wait(LOOK_EVERY)


class _Listening:
    """While entered (main thread only), gives signs of life; what the daemon wants becomes a TERM to that thread."""

    def __init__(self, directory: NodesDir, log: Log) -> None:
        self.stop: str | None = None
        """Who wants the merge to end; None while nobody does."""
        self._directory = directory
        self._log = log
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listening", daemon=True)
        self._main = threading.get_ident()

    def __enter__(self) -> Self:
        self._look()  # a job whose wish came before it did not so much as begin
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        for looks in count():
            if looks % _LOOKS_A_BEAT == 0:
                self._beat(looks + 1)
            if self.stop is None:
                self._look()
            if self._is_over.wait(LOOK_EVERY):
                return

    def _beat(self, number: int) -> None:
        try:
            Control(seq=number).publish(self._directory.control)
        except OSError as error:
            self._log.warning("beat_missed", reason=str(error))

    def _look(self) -> None:
        request = Request.now(self._directory.request)
        if request is not None and request.stop is not None:
            self.stop = request.stop
            signal.pthread_kill(self._main, signal.SIGTERM)
