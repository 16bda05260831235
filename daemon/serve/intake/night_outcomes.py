"""What became of a time at which a cycle was due, as it is kept (daemon.core.night_runs)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.night_runs import NightRun, Outcome
from daemon.core.schedule import Schedule
from handlers.codes import Code
from handlers.error_codes import code_of

AGAIN = timedelta(minutes=5)
"""When to try a drop again that failed (template missing, disk full)."""
LATE = AGAIN
"""A run that is dropped so long after its time was caught up: the daemon was not there, or could not."""
MOST_MISSED = 31
"""Of the times that were missed on end, the newest are kept, each with a line of its own."""


@dataclass(frozen=True)
class Due:
    """A time of a cycle that has come."""

    cycle: str
    time: datetime
    now: datetime
    """When that is seen."""
    last: datetime
    """Up to which time all are done with."""
    schedule: Schedule
    """By which those after it are counted."""
    counted: datetime
    """Up to which time all are done with once this one is."""


def dropped(due: Due, before: NightRun | None, notes: Iterable[str] = ()) -> NightRun:
    """Return that the run of `due` was dropped; `before` is what was known of it."""
    is_late = due.now - due.time >= LATE or (before is not None and before.outcome is Outcome.FAILED)
    outcome = Outcome.CAUGHT_UP if is_late else Outcome.DROPPED
    return NightRun(due.cycle, due.time, due.now, outcome, reason="; ".join(notes))


def skipped(due: Due, reason: str, code: Code) -> NightRun:
    """Return that the run of `due` is left out."""
    return NightRun(due.cycle, due.time, due.now, Outcome.SKIPPED, reason=reason, code=code)


def failed(due: Due, error: Exception) -> NightRun:
    """Return that the run of `due` could not be dropped yet."""
    return NightRun(due.cycle, due.time, due.now, Outcome.FAILED, reason=str(error), code=code_of(error))


def missed(due: Due, known: Callable[[datetime], NightRun | None]) -> list[NightRun]:
    """Return what became of the times before `due` that were not made up, oldest first; `known` says what is kept.

    They are the newest of them: a host that was down for years missed more than anybody wants to read. What became of
    a time that the clock, set back, shows again is known already.
    """
    *times, _ = due.schedule.newest_of(due.last, due.time, MOST_MISSED + 2)
    before = {time: known(time) for time in times[-MOST_MISSED:]}
    runs = [_missed(due, time, run) for time, run in before.items() if run is None or run.outcome is Outcome.FAILED]
    if runs and len(times) > MOST_MISSED:
        runs[0] = _with_those_before(runs[0], due.last)
    return runs


def _missed(due: Due, time: datetime, before: NightRun | None) -> NightRun:
    if before is not None and before.outcome is Outcome.FAILED:
        reason, code = f"{before.reason}; the next run was due before glmd could drop this one", before.code
    else:
        reason = f"glmd did not run then; the run of {_time_text(due.time)} replaces it"
        code = Code.NIGHT_MISSED
    return NightRun(due.cycle, time, due.now, Outcome.SKIPPED, reason=reason, code=code)


def _with_those_before(run: NightRun, last: datetime) -> NightRun:
    reason = f"{run.reason}; the same for all before it, since {_time_text(last)}"
    return NightRun(run.cycle, run.due, run.at, run.outcome, reason=reason, code=run.code)


def _time_text(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M %Z}"
