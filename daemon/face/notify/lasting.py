"""What goes on for a while: it is told once it has lasted so long, again while it lasts, and when it is over."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from daemon.core.event_kinds import EventKind
from daemon.face.notify.event import Event


@dataclass(frozen=True)
class Condition:
    """Something that is so now."""

    key: str
    """It tells one from another: `operator.needed:42`."""
    kind: EventKind
    text: str
    code: str = ""
    job: int | None = None
    attempt: int | None = None
    name: str = ""
    since: datetime | None = None
    """Since when it is so; None where nobody knows: since it was first seen."""
    after: timedelta = timedelta(0)
    """How long it has to last before it is told."""
    again: timedelta | None = None
    """After how long it is told again while it lasts; None for once."""


@dataclass(frozen=True)
class Lasting:
    """A condition that was seen, and how often it was reported."""

    condition: Condition
    since: datetime
    times_reported: int = 0
    last: datetime | None = None
    """When it was reported last."""

    @property
    def key(self) -> str:
        """Return the key of its next event."""
        again = f"#{self.times_reported}" if self.times_reported else ""
        return f"{self.condition.key}@{self.since.isoformat()}{again}"


def look(
    known: Mapping[str, Lasting], present: Iterable[Condition], now: datetime
) -> tuple[dict[str, Lasting], list[Event]]:
    """Return what lasts by now, and what is to be told of it: of what is new, of what lasts still, of what is over."""
    found, events = {}, []
    for condition in present:
        lasting = known.get(condition.key) or Lasting(condition, min(condition.since or now, now))
        lasting = replace(lasting, condition=condition, since=min(lasting.since, now))  # the clock may be set back
        if _is_due(lasting, now):
            events.append(_event(lasting, now))
            lasting = replace(lasting, times_reported=lasting.times_reported + 1, last=now)
        found[condition.key] = lasting
    over = [lasting for key, lasting in known.items() if key not in found and lasting.times_reported]
    events += [replace(_event(lasting, now), key=f"{lasting.key}:over", is_over=True) for lasting in over]
    return found, events


def _is_due(lasting: Lasting, now: datetime) -> bool:
    if not lasting.times_reported or lasting.last is None:
        return now - lasting.since >= lasting.condition.after
    again = lasting.condition.again
    return again is not None and abs(now - lasting.last) >= again


def _event(lasting: Lasting, now: datetime) -> Event:
    of = lasting.condition
    return Event(of.kind, lasting.key, now, of.text, of.code, of.job, of.attempt, of.name)
