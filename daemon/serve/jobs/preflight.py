"""The look at devices and disk before a waiting job takes them, again and again while something prevents it.

Of an evaluation it is the devices alone.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from daemon.core.checking import checked_again
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.core.setting_sections import Preflight
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.serve.loop.workers import Lane, Workers
from handlers.cards.preflight import Obstacle, look_at_cards, look_at_ports
from handlers.codes import Code
from handlers.error_codes import code_of
from handlers.errors import HandlerError
from handlers.events import job_log
from handlers.validate.problem import ConfigError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

EVERY = 10.0
"""Seconds between two looks for the same job."""


@dataclass(frozen=True)
class Go:
    """Nothing prevents it."""


@dataclass(frozen=True)
class Wait:
    """Something does that may go away by itself."""

    reason: str
    code: str = ""


@dataclass(frozen=True)
class Refuse:
    """Something does that somebody has to fix."""

    reason: str
    code: str = ""


Verdict = Go | Wait | Refuse


class Preflights:
    """Looks in worker threads, for each job once at a time. Nothing of it needs to survive a restart."""

    def __init__(self, root: Root, workers: Workers) -> None:
        self._root = root
        self._workers = workers
        self._due: dict[int, float] = {}

    def look(
        self, job: Job, settings: Settings, then: Callable[[Verdict], None], own: Mapping[str, Path] | None = None
    ) -> None:
        """Look on behalf of `job`, unless that was done lately, and call `then`; `own` is as for `checked_again`."""
        if time.monotonic() >= self._due.get(job.id, 0.0):
            self._due.pop(job.id, None)
            self._workers.submit_apart(
                Lane.JOBS,
                job.writer,
                partial(examine, job, settings, self._root, own),
                partial(self._looked, job.id, then),
            )

    def keep(self, jobs: Collection[int]) -> None:
        """Forget all jobs but these, which could start if nothing prevented it."""
        self._due = {job: due for job, due in self._due.items() if job in jobs}

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, the next look after `now` is due; None when no job waits for one.

        One that was due and was not asked for is held up by a fault, which has its own time.
        """
        return min((due for due in self._due.values() if due > now), default=None)

    def _looked(self, job: int, then: Callable[[Verdict], None], looked: Future[Verdict]) -> None:
        self._due[job] = time.monotonic() + EVERY
        try:
            verdict = looked.result()
        except Exception as error:
            log.exception("preflight_broke", job=job)
            reason = f"a defect in glmd: {type(error).__name__}: {error}; see the daemon's log"
            verdict = Refuse(reason, Code.GLMD_DEFECT)
        then(verdict)


def examine(job: Job, settings: Settings, root: Root, own: Mapping[str, Path] | None = None) -> Verdict:
    """Look whether `job` can start now."""
    try:
        obstacles = _obstacles(job, settings, root, own or {})
    except (HandlerError, OSError) as error:  # a file that is gone
        if isinstance(error, ConfigError) and settings.preflight is Preflight.WAIT and (lack := _too_little(error)):
            return Wait(f"waits for room on the disk: {lack}", error.code)
        return Wait(f"waits: {error}", code_of(error)) if may_pass(error) else Refuse(str(error), code_of(error))
    refuse_all = settings.preflight is Preflight.REFUSE
    refused = [obstacle for obstacle in obstacles if refuse_all or not obstacle.passes]
    if refused:
        return Refuse(f"not started: {'; '.join(obstacle.text for obstacle in refused)}", refused[0].code)
    if obstacles:
        return Wait(f"waits: {'; '.join(obstacle.text for obstacle in obstacles)}", obstacles[0].code)
    return Go()


def _too_little(error: ConfigError) -> str:
    """Return what a file is refused for, where that is too little disk alone: others may free some."""
    if any(problem.code is not Code.CONFIG_DISK_SPACE for problem in error.problems):
        return ""
    return "; ".join(f"it {problem.message}: {problem.hint}" for problem in error.problems)


def _obstacles(job: Job, settings: Settings, root: Root, own: Mapping[str, Path]) -> tuple[Obstacle, ...]:
    is_evaluated = job.state is State.EVALUATING
    if not is_evaluated:
        checked = checked_again(job, settings, root, own)
        if checked.nodes or checked.device_target != "Ascend":  # what is on other hosts each says itself
            return ()
    on_cards, unseen = look_at_cards(job.devices)
    if unseen:
        events = job_log(job.directory(root.path).events, job=job.id, attempt=job.attempt)
        events.info("devices_not_examined", reason=unseen)
    if is_evaluated:  # its ranks, and so their ports, are its own matter
        return on_cards
    return (*on_cards, *look_at_ports(job.devices, {**os.environ, **settings.training.environment}))
