"""Who is told what: the settings of notifications, in a form that takes little memory.

The settings themselves are read by a child (daemon.face.notify.planning): pydantic alone has more than all the rest.
"""

from dataclasses import dataclass
from datetime import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from daemon.core.event_kinds import EventKind
from daemon.core.night_hours import NightHours
from daemon.face.notify.event import Event
from daemon.face.words.language import Language


@dataclass(frozen=True)
class Files:
    """Where `glmd notify` finds things."""

    settings: Path | None
    """None for the file that glmd has by default."""
    root: Path | None
    """None for what the settings say."""
    credentials: Path
    """The directory with a file for each secret."""
    state: Path
    """The directory of the outbox."""
    runtime: Path | None = None
    """Where it says for everybody how the outbox stands; None for nowhere."""


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
    is_webhook: bool
    """Whether programs read what it gets: all events whole, a message for some hundred of them."""
    kinds: frozenset[EventKind]
    jobs: str
    """A pattern of names."""
    quiet: NightHours | None
    """By the host's clock; only what is urgent is told then."""
    group: float
    """Seconds after a message in which what happens is kept for one message."""
    most: Limit | None

    def wants(self, event: Event) -> bool:
        """Say whether it is to be told of `event`."""
        if event.kind not in self.kinds or (event.name and not fnmatchcase(event.name, self.jobs)):
            return False
        # What lets a night be well again is a run that is done, which is told by itself.
        is_reported_anyhow = event.kind is EventKind.NIGHTLY_MISSED and EventKind.JOB_DONE in self.kinds
        return not (event.is_over and is_reported_anyhow)


@dataclass(frozen=True)
class Plan:
    """All that the settings say of notifications."""

    root: Path
    host: str
    """How messages call this machine."""
    night: str
    """From the evening to the morning: `18:00-08:00`."""
    morning: time | None
    """When the digest is sent; None for never."""
    heartbeat: str
    """Which credential holds the URL that is called while all is well; empty for none."""
    destinations: tuple[Destination, ...]
    log_format: Literal["auto", "json", "pretty"]
    log_level: str
    page: str = ""
    """How people reach the page (`web: url:`), for links; empty where nobody has said it."""
    hide: tuple[str, ...] = ()
    """More names of keys whose values are not told (`web: hide:`)."""

    def destination(self, name: str) -> Destination | None:
        """Return the destination of that name."""
        return next((one for one in self.destinations if one.name == name), None)
