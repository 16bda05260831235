"""Rows of the outbox as what they stand for."""

import json
from datetime import datetime

from daemon.core.event_kinds import EventKind
from daemon.face.notify.event import Event
from daemon.face.notify.lasting import Condition, Lasting
from daemon.face.notify.message import Message, MessageState, Payload

EVENT = "key, kind, at, text, code, job, attempt, name, is_over"
MESSAGE = "id, destination, made, urgent, title, text, document, state, tries, due, answer"
LASTING = "key, kind, text, code, job, attempt, name, since, told, last"
"""The columns of a row, in their order."""

EventRow = tuple[str, str, str, str, str, int | None, int | None, str, int]
MessageRow = tuple[str, str, str, int, str, str, str, str, int, str, str]
LastingRow = tuple[str, str, str, str, int | None, int | None, str, str, int, str | None]


def event_of(row: EventRow) -> Event:
    """Return the event in a row of EVENT."""
    key, kind, at, text, code, job, attempt, name, is_over = row
    return Event(EventKind(kind), key, datetime.fromisoformat(at), text, code, job, attempt, name, bool(is_over))


def message_of(row: MessageRow) -> Message:
    """Return the message in a row of MESSAGE."""
    identity, destination, made, urgent, title, text, document, state, tries, due, answer = row
    return Message(
        id=identity,
        destination=destination,
        made=datetime.fromisoformat(made),
        is_urgent=bool(urgent),
        payload=Payload(title, text, json.loads(document)),
        state=MessageState(state),
        tries=tries,
        due=datetime.fromisoformat(due),
        answer=answer,
    )


def lasting_of(row: LastingRow) -> Lasting:
    """Return what lasts, of a row of LASTING."""
    key, kind, text, code, job, attempt, name, since, times, last = row
    condition = Condition(key, EventKind(kind), text, code, job, attempt, name)
    return Lasting(condition, datetime.fromisoformat(since), times, datetime.fromisoformat(last) if last else None)
