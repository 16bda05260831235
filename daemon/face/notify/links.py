"""Where the page tells more; empty without a page."""

from datetime import date

from daemon.face.notify.event import Event
from daemon.face.notify.plan import Plan


def link_of(event: Event, plan: Plan) -> str:
    """Return the address of an event's job, else that of the page."""
    if not plan.url or event.job is None:
        return plan.url
    return f"{plan.url}/jobs/{event.job}"


def link_of_night(night: date, plan: Plan) -> str:
    """Return the address of the night to the morning of `night`."""
    return f"{plan.url}/night/{night.isoformat()}" if plan.url else ""
