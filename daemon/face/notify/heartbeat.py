"""The heartbeat: a URL that is called every minute while all is well. Who misses it knows that this host is in trouble.

Nobody can tell of his own death: a service elsewhere (Uptime Kuma, Healthchecks) does.
"""

import time
from functools import partial
from pathlib import Path

import structlog

from daemon.face.children import Children, NoAnswer
from daemon.face.notify.message import Answer, Outcome
from daemon.face.notify.tasks import call

log: structlog.stdlib.BoundLogger = structlog.get_logger()

EVERY = 60.0
"""Seconds."""
WITHIN = 20.0
"""Seconds that a call may take."""
_KEY = "a heartbeat"  # no destination has a space in its name


class Heartbeat:
    """Calls the URL in a credential, by a child."""

    def __init__(self, credentials: Path, children: Children) -> None:
        self._credentials = credentials
        self._children = children
        self._due = 0.0
        self._is_heard: bool | None = None

    def turn(self, credential: str, *, is_well: bool) -> None:
        """Call, where it is time and all is well; no `credential` means that nobody listens."""
        if not credential or not is_well or time.monotonic() < self._due or _KEY in self._children:
            return
        self._due = time.monotonic() + EVERY
        self._children.start(_KEY, partial(call, self._credentials, credential), self._called, seconds=WITHIN)

    def _called(self, answer: Answer | NoAnswer) -> None:
        is_heard = isinstance(answer, Answer) and answer.outcome is Outcome.SENT
        if is_heard is not self._is_heard:  # once for each change: it is called every minute
            text = answer.text if isinstance(answer, Answer) else type(answer).__name__
            (log.info if is_heard else log.error)("heartbeat_heard" if is_heard else "heartbeat_not_heard", answer=text)
        self._is_heard = is_heard
