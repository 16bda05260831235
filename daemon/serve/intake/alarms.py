"""Alarms: a night that has no success so long after its time as the settings say is told of, once.

The time is the last one that a cycle's own schedule has, so who does not run at weekends is quiet then. It is looked
when that is so long ago, and when the daemon starts; what lets an alarm pass is in the store (daemon.core.notices).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from daemon.core.night_runs import Outcome
from daemon.core.nights import schedule_of
from daemon.core.notices import Notice, NoticeKind
from daemon.core.setting_sections import NightlySettings
from daemon.core.states import OVER, State
from daemon.core.store import Store
from daemon.serve.intake.source import Moment
from handlers.codes import Code
from handlers.units.durations import format_duration

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LONGEST_REASON = 300
"""Characters of what is told of a job."""


class _Alarm:
    """When to look at a cycle."""

    def __init__(self, settings: NightlySettings, after: float) -> None:
        self.cycle, self.cron, self.timezone = settings.name, settings.cron, settings.timezone or ""
        self.after = timedelta(seconds=after)
        self.schedule = schedule_of(settings)
        self.looked: datetime | None = None
        self.due: datetime | None = None
        """When, once it was looked; it is the alarm of the next night."""


class Alarms:
    """The alarms of all cycles that want one."""

    name = "alarms"

    def __init__(self, settings: Iterable[NightlySettings], store: Store) -> None:
        self._alarms = [_Alarm(one, one.alarm) for one in settings if one.alarm is not None]
        self._store = store

    def turn(self, now: Moment) -> None:
        """Look at the cycles whose time has come, or whose clock was set back."""
        for alarm in self._alarms:
            if alarm.due is None or alarm.looked is None or not alarm.looked <= now.wall < alarm.due:
                self._look(alarm, now.wall)

    def next_due(self, now: Moment) -> float | None:
        """Return when the next night would be overdue; see WorkSource."""
        due = min((alarm.due for alarm in self._alarms if alarm.due is not None), default=None)
        return None if due is None else max(0.0, (due - now.wall).total_seconds())

    def _look(self, alarm: _Alarm, now: datetime) -> None:
        counted = next((known for known in self._store.counted() if known.cycle == alarm.cycle), None)
        if counted is None or (counted.cron, counted.timezone) != (alarm.cron, alarm.timezone):
            return  # the cycles' own turn has not come to it
        late = now - alarm.after
        due = alarm.schedule.newest(counted.since, late)
        if due is not None and not self._is_well(alarm.cycle, due):
            self._tell(alarm, due, now)
        alarm.looked, alarm.due = now, alarm.schedule.after(max(late, counted.since)) + alarm.after

    def _is_well(self, cycle: str, due: datetime) -> bool:
        """Say whether a run for that time or a later one is done, or had nothing to do."""
        if any(job.state is State.DONE for job in self._store.runs_of(cycle, due)):
            return True
        nights = self._store.night_runs(due)
        return any(night.cycle == cycle and night.code == Code.NIGHT_UNCHANGED for night in nights)

    def _tell(self, alarm: _Alarm, due: datetime, now: datetime) -> None:
        what, job = self._what(alarm.cycle, due)
        night = f"the night of {alarm.schedule.local(due):%Y-%m-%d %H:%M}"
        late = format_duration(alarm.after.total_seconds())
        text = f"{alarm.cycle}: {night} has no success {late} after its time: {what}"
        notice = Notice(NoticeKind.NIGHTLY_OVERDUE, text, now, alarm.cycle, due, job)
        if self._store.add_notice(notice):
            log.warning("nightly_overdue", cycle=alarm.cycle, due=due.isoformat(), job=job, reason=what)

    def _what(self, cycle: str, due: datetime) -> tuple[str, int | None]:
        """Return what has become of the night, and its job or the one that it waits for."""
        if runs := self._store.runs_of(cycle, due):
            job = runs[0]
            still = "still " if not job.state.is_over else ""
            reason = f": {job.reason:.{LONGEST_REASON}}" if job.reason else ""
            return f"job {job.id} is {still}{job.state}{reason}", job.id
        before = [job for job in self._store.jobs(set(State) - OVER) if job.cycle == cycle]
        still = f"; job {before[0].id}, of the night before, is still {before[0].state}" if before else ""
        night = self._store.night(cycle, due)
        if night is None:
            return f"nothing was dropped{still}", None
        if night.outcome.has_file:
            return f"what was dropped is not a job yet{still}", None
        failed = "it could not be dropped" if night.outcome is Outcome.FAILED else "it was left out"
        return f"{failed}: {night.reason:.{LONGEST_REASON}}{still}", before[0].id if before else None
