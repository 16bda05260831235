"""Makes messages of what is to be told, within each destination's rules, and has them sent: each part by a child."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import structlog

from daemon.face.children import Children, Died, NoAnswer, Raised, TimedOut
from daemon.face.notify import rules
from daemon.face.notify.event import Event
from daemon.face.notify.message import Answer, Message, MessageState, Outcome, Payload
from daemon.face.notify.outbox import Outbox
from daemon.face.notify.plan import Destination, Plan
from daemon.face.notify.tasks import compose_message, send_message

log: structlog.stdlib.BoundLogger = structlog.get_logger()

COMPOSES_WITHIN = 20.0
SENDS_WITHIN = 30.0
"""Seconds that a child gets."""
MOST_CHILDREN = 8
Clock = Callable[[], datetime]
"""Says what time it is, in UTC."""
MOST_FOR_PROGRAMS = 500
"""Events in one message to a webhook."""
MOST_FOR_PEOPLE = 100_000


class Sending:
    """Sends to all destinations, to each one message after the other."""

    def __init__(self, plan: Plan, outbox: Outbox, credentials: Path, children: Children, clock: Clock) -> None:
        self._plan = plan
        self._outbox = outbox
        self._credentials = credentials
        self._children = children
        self._clock = clock
        self._failures: dict[str, int] = {}
        """How often the next message to each destination could not be made. After one it is made of what the events say
        alone, without what is beside them; after two it says that there is something, without words."""
        self.use(plan)

    def use(self, plan: Plan) -> None:
        """Go on by this plan. What waits is tried at once: somebody may have fixed what was in its way."""
        self._plan = plan
        self._failures = dict.fromkeys((one.name for one in plan.destinations), 0)
        self._outbox.keep_destinations(self._failures)
        self._outbox.try_at_once(self._clock())

    def turn(self, now: datetime, *, is_behind: bool) -> None:
        """Begin what can be begun now; `is_behind` says that more of what is to be told now will be known at once."""
        if not self._outbox.has_work():
            return
        gone = self._outbox.gone()
        for one in self._plan.destinations:
            if one.name not in self._children and one.name not in gone and len(self._children) < MOST_CHILDREN:
                self._serve(one, now, may_make=not is_behind)

    def _serve(self, destination: Destination, now: datetime, *, may_make: bool) -> None:
        is_quiet = rules.is_quiet(destination.quiet, now)
        for urgent in (True,) if is_quiet else (True, False):
            message = self._outbox.to_send(destination.name, urgent=urgent)
            if message is not None:
                if rules.is_due(message.due, now):
                    self._send(destination, message)
                    return
            elif may_make and (urgent or self._may_make(destination, now)):
                most = MOST_FOR_PROGRAMS if destination.is_webhook else MOST_FOR_PEOPLE
                if events := self._outbox.waiting(destination.name, urgent=urgent, most=most):
                    self._make(destination, events, is_urgent=urgent)
                    return

    def _may_make(self, destination: Destination, now: datetime) -> bool:
        """Say whether its rules allow one more message that is not urgent."""
        since = now - timedelta(seconds=destination.group)
        if self._outbox.made_between(destination.name, since, now):
            return False
        most = destination.most
        if most is None:
            return True
        since = now - timedelta(seconds=most.seconds)
        return self._outbox.made_between(destination.name, since, now) < most.messages

    # Making

    def _make(self, destination: Destination, events: Sequence[Event], *, is_urgent: bool) -> None:
        then = partial(self._made, destination.name, events, is_urgent=is_urgent)
        failures = self._failures[destination.name]
        if failures > 1:
            then(wordless(events))
            return
        undelivered = self._outbox.count(MessageState.FAILED)
        work = partial(compose_message, self._plan, destination, events, undelivered, with_facts=not failures)
        self._children.start(destination.name, work, then, seconds=COMPOSES_WITHIN)

    def _made(
        self,
        destination: str,
        events: Sequence[Event],
        payload: Payload | NoAnswer | None,
        *,
        is_urgent: bool,
    ) -> None:
        if destination not in self._failures:  # the settings have lost it meanwhile
            return
        if isinstance(payload, NoAnswer):
            self._failures[destination] += 1
            log.error(
                "message_not_made", destination=destination, reason=_reason(payload), times=self._failures[destination]
            )
            return
        self._failures[destination] = 0
        if payload is None:
            self._outbox.drop_events(destination, events)
            return
        now = self._clock()
        message = Message(f"msg_{uuid4().hex}", destination, now, is_urgent, payload, MessageState.PENDING, 0, now, "")
        self._outbox.put(message, events)

    # Sending

    def _send(self, destination: Destination, message: Message) -> None:
        work = partial(send_message, self._credentials, destination, message)
        then = partial(self._sent, message, time.monotonic())
        self._children.start(destination.name, work, then, seconds=SENDS_WITHIN)

    def _sent(self, message: Message, begun: float, answer: Answer | NoAnswer) -> None:
        now = self._clock()
        if isinstance(answer, NoAnswer):
            answer = Answer(Outcome.FAILED, _reason(answer))
        event = log.bind(destination=message.destination, message=message.id, tries=message.tries + 1)
        event = event.bind(seconds=round(time.monotonic() - begun, 3), answer=answer.text)
        match answer.outcome:
            case Outcome.SENT:
                self._outbox.tried(message, MessageState.SENT, answer.text, now)
                event.info("message_sent", title=message.payload.title)
            case Outcome.GONE:
                self._outbox.tried(message, MessageState.DROPPED, answer.text, now)
                self._outbox.is_gone(message.destination, answer.text, now)
                event.error("destination_gone", to_do=f"glmd notify retry {message.destination} sends it again")
            case _ if rules.is_given_up(message.made, now):
                self._outbox.tried(message, MessageState.FAILED, answer.text, now)
                event.error("message_given_up", to_do=f"glmd notify retry {message.id} sends it again")
            case _:
                due = rules.next_try(message.tries + 1, answer.again_after, now)
                self._outbox.tried(message, MessageState.PENDING, answer.text, due)
                event.warning("message_not_sent", again=due.isoformat())


def wordless(events: Sequence[Event]) -> Payload:
    """Return a message of events of which none can be made: nobody shall miss them for a defect of glmd's."""
    kinds = sorted({event.kind for event in events})
    jobs = sorted({event.job for event in events if event.job is not None})
    text = f"glmd could not write this message: glmd status --all, and journalctl -u glmd-notify; jobs: {jobs[:20]}"
    data = {
        "events": [{"type": event.kind, "data": {"job": {"id": event.job, "name": event.name}}} for event in events]
    }
    return Payload(f"! {len(events)}: {', '.join(kinds)}"[:60], text, {"type": "batch", "data": data})


def _reason(answer: NoAnswer) -> str:
    match answer:
        case TimedOut():
            return "it took too long, and glmd ended it"
        case Died():
            return "its process was killed: was it short of memory?"
        case Raised(kind, where):
            return f"a defect in glmd: {kind} at {where}"
