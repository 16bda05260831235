"""What is sent: some events in one message, made once, so that each try sends the same; and what came of a try."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True)
class Payload:
    """What a message says, for each kind of destination."""

    title: str
    """Fit for a lock screen: up to 60 characters."""
    text: str
    """The whole, in plain lines, without the title."""
    document: dict[str, object]
    """The same for programs, which a webhook gets: `type`, `timestamp`, `data`."""


class Outcome(StrEnum):
    """What came of a try to send."""

    SENT = "sent"
    FAILED = "failed"
    """It may go better later: no answer, or one that says so."""
    GONE = "gone"
    """The destination wants nothing any more, for good: HTTP's 410."""
    UNUSABLE = "unusable"
    """The credential is missing or says nothing that can be used: no later try does better by itself."""


@dataclass(frozen=True)
class Answer:
    """What came of a try to send, in words that hold no secret."""

    outcome: Outcome
    text: str = ""
    """What the other side said, or what was in the way; printable, at most 300 characters."""
    again_after: float | None = None
    """Seconds that the other side asked to wait (Retry-After); None where it did not."""


class MessageState(StrEnum):
    """Where a message stands."""

    PENDING = "pending"
    """It was not taken yet; it is tried again."""
    SENT = "sent"
    FAILED = "failed"
    """It was given up; `glmd notify retry` tries again."""
    DROPPED = "dropped"
    """Nobody wants it any more: its destination is gone."""


@dataclass(frozen=True)
class Message:
    """Some events on their way to one destination."""

    id: str
    """The same on each try, so that the other side can tell one that it has had before."""
    destination: str
    made: datetime
    is_urgent: bool
    payload: Payload
    state: MessageState
    tries: int
    due: datetime
    """When it is to be tried next."""
    answer: str
    """What came of the last try; empty before there was one."""
