"""One thing to tell people."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.event_kinds import EventKind


@dataclass(frozen=True)
class Event:
    """One thing to tell."""

    kind: EventKind
    key: str
    """It tells one from another, and is the same whenever the same thing is found again: `transition:1234`."""
    at: datetime
    """When it happened, in UTC."""
    text: str = ""
    """What glmd says of it, in English: the reason of a state, the text of a notice."""
    code: str = ""
    """What programs tell `text` by; empty where nothing says it."""
    job: int | None = None
    attempt: int | None = None
    """Of the job."""
    name: str = ""
    """The job's, or the cycle's where there is no job; empty where it is about neither."""
    is_over: bool = False
    """Whether it tells that the bad thing of this kind, which was told before, is no longer so."""
