"""Where the page tells more of what a message is about."""

from datetime import date

from daemon.core.event_kinds import EventKind
from daemon.face.notify.event import Event
from daemon.face.notify.plan import Plan
from daemon.face.notify.texts.commands import has_moved_on
from daemon.face.notify.texts.facts import Facts

_FAILURES = frozenset({EventKind.JOB_FAILED, EventKind.JOB_REJECTED})
_NIGHTS = frozenset({EventKind.NIGHTLY_MISSED, EventKind.NIGHTLY_LATE})


def link_of(event: Event, facts: Facts, plan: Plan) -> str:
    """Return the address of a failure, a job, the nights, or Now; empty where nobody has said how it is reached."""
    if event.job is None:
        return _link(plan, "/nights" if event.kind in _NIGHTS else "/")
    is_failure = event.kind in _FAILURES and not event.is_over and not has_moved_on(event, facts)
    return _link(plan, f"/jobs/{event.job}{'/failure' if is_failure else ''}")


def link_of_night(night: date, plan: Plan) -> str:
    """Return the address of a night, of which a digest tells."""
    return _link(plan, f"/night/{night.isoformat()}")


def link_of_now(plan: Plan) -> str:
    """Return the address of the page's beginning, for a message of several things."""
    return _link(plan, "/")


def _link(plan: Plan, path: str) -> str:
    return f"{plan.page}{path}" if plan.page else ""
