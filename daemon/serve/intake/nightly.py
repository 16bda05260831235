"""Nightly cycles: when the clock says so, a cycle's YAML is dropped into the inbox, as a user would do it.

A schedule computes the times; the daemon's loop asks on every turn which are due, comparing with the last one kept in
the store. So there is no grace time in which a run can be lost: a run missed while the host was down is caught up,
once, whatever the number of runs missed. What it was counted by is kept too: what was missed before a change of the
expression or the zone goes by the old ones, and the new ones begin with the change. What became of each time is kept
with it (daemon.serve.intake.night_outcomes).
"""

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

import structlog

from daemon.core.crontab import parse
from daemon.core.daemon_record import NextNight
from daemon.core.night_runs import NightRun
from daemon.core.nights import recipe_of, schedule_of
from daemon.core.root import Root
from daemon.core.schedule import Schedule
from daemon.core.setting_sections import NightlySettings
from daemon.core.states import OVER, State
from daemon.core.store import Store
from daemon.serve.intake.night_outcomes import AGAIN, Due, dropped, failed, missed, skipped
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from handlers.codes import Code
from handlers.error_codes import code_of
from handlers.errors import HandlerError
from handlers.host.reach import DoesNotAnswerError
from handlers.inputs.unchanged import Earlier
from handlers.nightly import Dropped, Unchanged, drop
from handlers.run_names import is_run_of, run_name

__all__ = ["AGAIN", "Cycle", "Cycles"]

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Made = Dropped | Unchanged
Submit = Callable[[Hashable, Callable[[], Made], Callable[[Future[Made]], None]], None]
"""Has work done apart, once at a time by its key, and hands over what came of it."""


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
        root: Root,
        store: Store,
        faults: Faults,
        submit: Submit,
        allowed: Sequence[Path] = (Path("/"),),
    ) -> None:
        self._cycles = tuple(Cycle(one) for one in settings)
        self._root = root
        self._store = store
        self._faults = faults
        self._submit = submit
        self._allowed = allowed
        """Where their inputs may lie."""
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

    def to_come(self, now: datetime) -> list[NextNight]:
        """Return when each comes next after `now`."""
        return [NextNight(cycle.settings.name, cycle.schedule.after(now)) for cycle in self._cycles]

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
        schedule = before or cycle.schedule
        # What is counted by the new schedule begins now.
        if (time := schedule.newest(last, now)) is not None:
            self._settle(cycle, Due(cycle.settings.name, time, now, last, schedule, now if before else time))
        elif before is not None:
            self._remember(cycle, now)

    def _settle(self, cycle: Cycle, due: Due) -> None:
        """Drop the run of a time, or leave it out, and remember that; or try again later."""
        name = due.cycle
        is_unfinished = self._is_unfinished(name)  # before the next look: a worker may be about to drop this very run
        before = self._store.night(name, due.time)
        if self._was_dropped(run_name(name, due.time)):  # a crash kept it from being remembered
            self._remember_what_became(cycle, due, dropped(due, before))
        elif is_unfinished:
            fields = {"code": Code.NIGHT_SKIPPED, "reason": "the run before is not over"}
            log.warning("nightly_skipped", cycle=name, due=due.time.isoformat(), **fields)
            self._remember_what_became(cycle, due, skipped(due, fields["reason"], Code.NIGHT_SKIPPED))
        else:
            recipe = recipe_of(cycle.settings, self._allowed)
            earlier = self._earlier(name) if recipe.may_skip else None
            work = partial(drop, recipe, self._root.inbox, cycle.schedule.local(due.time), earlier)
            self._submit(("nightly", name), work, partial(self._made, cycle, due))

    def _made(self, cycle: Cycle, due: Due, made: Future[Made]) -> None:
        """Take what a worker has made of a time."""
        name, before = due.cycle, self._store.night(due.cycle, due.time)
        try:
            result = made.result()
        except DoesNotAnswerError as error:
            self._faults.failed(f"nightly {name}", error)
            self._keep(failed(due, error), before)
            return
        except (HandlerError, OSError) as error:
            fields = {"code": code_of(error), "reason": str(error)}
            log.error("nightly_failed", cycle=name, due=due.time.isoformat(), **fields)  # noqa: TRY400 - the text is the whole story
            cycle.not_before = due.now + AGAIN
            self._keep(failed(due, error), before)
            return
        if isinstance(result, Unchanged):
            fields = {"code": Code.NIGHT_UNCHANGED, "reason": result.reason}
            log.info("nightly_skipped", cycle=name, due=due.time.isoformat(), **fields)
            self._remember_what_became(cycle, due, skipped(due, result.reason, Code.NIGHT_UNCHANGED))
            return
        notes = {"reason": "; ".join(result.notes)} if result.notes else {}
        log.info("nightly_dropped", cycle=name, due=due.time.isoformat(), path=str(result.path), **notes)
        self._remember_what_became(cycle, due, dropped(due, before, result.notes))

    def _earlier(self, cycle: str) -> Earlier | None:
        """Return the last run of `cycle` that came to its end as it should."""
        job = self._store.newest_done(cycle)
        return None if job is None else Earlier(job.id, job.directory(self._root.path))

    def _keep(self, run: NightRun, before: NightRun | None) -> None:
        """Keep what became of a time so far; it is tried again and again, and written once."""
        if before is None or (before.outcome, before.reason) != (run.outcome, run.reason):
            self._store.keep_night(run)

    def _remember_what_became(self, cycle: Cycle, due: Due, run: NightRun) -> None:
        left_out = missed(due, lambda time: self._store.night(due.cycle, time))
        for one in left_out:
            log.warning("nightly_missed", cycle=due.cycle, due=one.due.isoformat(), code=one.code, reason=one.reason)
        self._remember(cycle, due.counted, [*left_out, run])

    def _remember(self, cycle: Cycle, due: datetime, runs: Iterable[NightRun] = ()) -> None:
        settings = cycle.settings
        self._store.set_last_due(settings.name, cycle.schedule.local(due), settings.cron, settings.timezone or "", runs)

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
        waiting = chain(self._root.inbox.glob(f"{cycle}-*.yaml"), self._root.claims.glob(f"*/{cycle}-*.yaml"))
        jobs = self._store.jobs(set(State) - OVER)
        return any(is_run_of(cycle, name) for name in (*(path.stem for path in waiting), *(job.name for job in jobs)))

    def _is_on_its_way(self, name: str) -> bool:
        """Say whether a run was dropped and is not yet a job: it waits in the inbox, or is being checked."""
        file = f"{name}.yaml"
        return (self._root.inbox / file).exists() or any(self._root.claims.glob(f"*/{file}"))
