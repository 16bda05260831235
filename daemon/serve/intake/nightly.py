"""Nightly cycles: when the clock says so, a cycle's YAML is dropped into the inbox, as a user would do it.

A schedule computes the times; the daemon's loop asks on every turn which are due, comparing with the last one kept in
the store. So there is no grace time in which a run can be lost: a run missed while the host was down is caught up,
once, whatever the number of runs missed. What it was counted by is kept too: what was missed before a change of the
expression or the zone goes by the old ones, and the new ones begin with the change.
"""

import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path

import structlog

from daemon.core.crontab import parse
from daemon.core.nights import schedule_of
from daemon.core.schedule import Schedule
from daemon.core.settings import NightlySettings
from daemon.core.states import OVER, State
from daemon.core.store import Store
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from handlers.codes import Code
from handlers.error_codes import code_of
from handlers.errors import HandlerError
from handlers.host.reach import DoesNotAnswerError
from handlers.nightly import drop, is_run_of, run_name

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Submit = Callable[[Hashable, Callable[[], Path], Callable[[Future[Path]], None]], None]
"""Has work done apart, once at a time by its key, and hands over what came of it."""

AGAIN = timedelta(minutes=5)
"""When to try a drop again that failed (template missing, disk full)."""


class Cycle:
    """One entry of `nightly:` in the settings. Raises SettingsError as `schedule_of` does."""

    def __init__(self, settings: NightlySettings) -> None:
        self.settings = settings
        self.schedule = schedule_of(settings)
        self.not_before: datetime | None = None


class Cycles:
    """All nightly cycles of a daemon."""

    name = "nightly"

    def __init__(
        self,
        settings: Iterable[NightlySettings],
        store: Store,
        inbox: Path,
        claims: Path,
        faults: Faults,
        submit: Submit,
    ) -> None:
        self._cycles = tuple(Cycle(one) for one in settings)
        self._store = store
        self._inbox = inbox
        self._claims = claims
        self._faults = faults
        self._submit = submit
        self._are_others_forgotten = False

    def turn(self, now: Moment) -> None:
        """Drop what is due."""
        wall = now.wall
        time.tzset()  # the host's zone may have been set since
        if not self._are_others_forgotten:  # a cycle that was taken out and comes back is a new one
            self._store.forget_cycles(keep=[cycle.settings.name for cycle in self._cycles])
            self._are_others_forgotten = True
        for cycle in self._cycles:
            # A pause that ends later than it can was counted from a clock that has been set back since.
            if cycle.not_before is None or not wall < cycle.not_before <= wall + AGAIN:
                cycle.not_before = None
                self._faults.attempt(f"nightly {cycle.settings.name}", partial(self._turn, cycle, wall))

    def next_due(self, now: Moment) -> float | None:
        """Return when the next night comes, or one that failed is to be tried again; see WorkSource."""
        due = min((cycle.not_before or cycle.schedule.after(now.wall) for cycle in self._cycles), default=None)
        return None if due is None else (due - now.wall).total_seconds()

    def _turn(self, cycle: Cycle, now: datetime) -> None:
        try:
            last = self._store.last_due(cycle.settings.name)
            before = None if last is None else self._schedule_before(cycle, last)
        except (ValueError, OverflowError) as error:  # no time and no expression that glmd would have remembered
            log.warning("nightly_counted_anew", cycle=cycle.settings.name, reason=str(error))
            last = before = None
        if last is None or last > now:  # new; or the clock has been set back, and what ran is known by its name
            self._remember(cycle, now)
            return
        due = (before or cycle.schedule).newest(last, now)
        # What is counted by the new schedule begins now.
        remember = partial(self._remember, cycle, now if before is not None else due or now)
        if due is not None:
            self._settle(cycle, due, now, remember)
        elif before is not None:
            remember()

    def _settle(self, cycle: Cycle, due: datetime, now: datetime, remember: Callable[[], None]) -> None:
        """Drop the run of the time `due`, or leave it out, and `remember` that; or try again later."""
        name = cycle.settings.name
        is_unfinished = self._is_unfinished(name)  # before the next look: a worker may be about to drop this very run
        if self._was_dropped(run_name(name, due)):  # a crash kept it from being remembered
            remember()
        elif is_unfinished:
            told = {"code": Code.NIGHT_SKIPPED, "reason": "the run before is not over"}
            log.warning("nightly_skipped", cycle=name, due=due.isoformat(), **told)
            remember()
        else:
            work = partial(
                drop,
                cycle.settings.template,
                self._inbox,
                name,
                scheduled=due,
                devices=cycle.settings.devices,
                continue_from=cycle.settings.continue_from,
            )
            self._submit(("nightly", name), work, partial(self._dropped, cycle, due, now, remember))

    def _dropped(
        self, cycle: Cycle, due: datetime, now: datetime, remember: Callable[[], None], dropped: Future[Path]
    ) -> None:
        name = cycle.settings.name
        try:
            path = dropped.result()
        except DoesNotAnswerError as error:
            self._faults.failed(f"nightly {name}", error)
            return
        except (HandlerError, OSError) as error:
            told = {"code": code_of(error), "reason": str(error)}
            log.error("nightly_failed", cycle=name, due=due.isoformat(), **told)  # noqa: TRY400 - the text is the whole story
            cycle.not_before = now + AGAIN
            return
        log.info("nightly_dropped", cycle=name, due=due.isoformat(), path=str(path))
        remember()

    def _remember(self, cycle: Cycle, due: datetime) -> None:
        settings = cycle.settings
        self._store.set_last_due(settings.name, cycle.schedule.local(due), settings.cron, settings.timezone or "")

    def _schedule_before(self, cycle: Cycle, last: datetime) -> Schedule | None:
        """Return the schedule by which `last` was counted, if the cycle's has changed since.

        Of the zone the store knows the offset from UTC: enough to tell that it was changed, in settings or on the host.
        """
        cron = self._store.cron_of(cycle.settings.name)
        if not cron or (cron == cycle.settings.cron and last.utcoffset() == cycle.schedule.local(last).utcoffset()):
            return None
        return Schedule(parse(cron), last.tzinfo)

    def _was_dropped(self, name: str) -> bool:
        return self._is_on_its_way(name) or self._store.newest_named(name) is not None

    def _is_unfinished(self, cycle: str) -> bool:
        """Say whether a run of the cycle is not over, be it of the night before or of one long ago."""
        waiting = chain(self._inbox.glob(f"{cycle}-*.yaml"), self._claims.glob(f"*/{cycle}-*.yaml"))
        jobs = self._store.jobs(set(State) - OVER)
        return any(is_run_of(cycle, name) for name in (*(path.stem for path in waiting), *(job.name for job in jobs)))

    def _is_on_its_way(self, name: str) -> bool:
        """Say whether a run was dropped and is not yet a job: it waits in the inbox, or is being checked."""
        file = f"{name}.yaml"
        return (self._inbox / file).exists() or any(self._claims.glob(f"*/{file}"))
