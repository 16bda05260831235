"""Who is told what: the settings of notifications, in a form that takes little memory.

The settings themselves are read by a child (daemon.face.notify.planning): pydantic alone has more than all the rest.
"""

from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from daemon.core.event_kinds import EventKind
from daemon.face.notify.event import Event


class Language(StrEnum):
    """What a message is written in."""

    EN = "en"
    ZH = "zh"


@dataclass(frozen=True)
class Hours:
    """A part of the day by the host's clock; over midnight where its end is the earlier of the two."""

    begin: time
    end: time


@dataclass(frozen=True)
class Limit:
    """How many messages there may be in so long."""

    messages: int
    seconds: float


@dataclass(frozen=True)
class Destination:
    """One place that is told."""

    name: str
    credential: str
    """Which credential holds its address."""
    secret: str
    """Which one holds the secret that a webhook is signed with; empty for none."""
    language: Language
    kinds: frozenset[EventKind]
    jobs: str
    """A pattern of names."""
    quiet: Hours | None
    group: float
    """Seconds after a message in which what happens is kept for one message."""
    most: Limit | None

    def wants(self, event: Event) -> bool:
        """Say whether it is to be told of `event`."""
        return event.kind in self.kinds and (not event.name or fnmatchcase(event.name, self.jobs))


@dataclass(frozen=True)
class Plan:
    """All that the settings say of notifications."""

    root: Path
    host: str
    """How messages call this machine."""
    url: str
    """How people reach the page, without a slash at its end; empty where there is none."""
    night: str
    """From the evening to the morning: `18:00-08:00`."""
    morning: time | None
    """When the digest is sent; None for never."""
    heartbeat: str
    """Which credential holds the URL that is called while all is well; empty for none."""
    destinations: tuple[Destination, ...]
