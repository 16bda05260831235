"""What children do: read settings, make a message, send it, call a URL. Only here are records and secrets read."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from daemon.core.event_kinds import EventKind
from daemon.core.night_hours import NightHours
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.face.notify.event import Event
from daemon.face.notify.message import Answer, Message, Outcome, Payload
from daemon.face.notify.plan import Destination, Files, Plan
from handlers.errors import BadInputError


def plan_of(files: Files) -> Plan | str:
    """Return what the settings say, or what is wrong with them."""
    from daemon.face.notify.planning import read_plan  # noqa: PLC0415 - here and below: only a child has room for it

    try:
        return read_plan(files)
    except BadInputError as error:
        return str(error)


def compose_message(
    plan: Plan, destination: Destination, events: Sequence[Event], undelivered: int, *, with_facts: bool
) -> Payload | None:
    """Return what a message of `events` says; None where there is nothing to say. Raises StoreError.

    `with_facts` is whether the store and the records of jobs are asked for more than the events say themselves.
    """
    from daemon.face.notify.texts.composing import compose  # noqa: PLC0415
    from daemon.face.notify.texts.facts import facts_of  # noqa: PLC0415

    if events[0].kind is EventKind.DIGEST:
        found = _digest(plan, destination, date.fromisoformat(events[0].text), undelivered)
        return None if found is None else _masked(found, plan)
    if not with_facts or all(event.job is None for event in events):
        return _masked(compose(events, {}, destination.language, plan), plan)
    root = Root(plan.root)
    with ReadStore.open(root.store) as store:
        facts = facts_of(events, store, root.path)
    return _masked(compose(events, facts, destination.language, plan), plan)


def _masked(payload: Payload, plan: Plan) -> Payload:
    """Return a message without values that are not shown: a reason may quote a line of a configuration."""
    from handlers.hidden_keys import HiddenKeys  # noqa: PLC0415

    hidden = HiddenKeys.of(plan.hide)
    document = {name: hidden.in_json(value, name) for name, value in payload.document.items()}
    return Payload(hidden.in_lines(payload.title), hidden.in_lines(payload.text), document)


def _digest(plan: Plan, destination: Destination, night: date, undelivered: int) -> Payload | None:
    from daemon.face.digest import digest  # noqa: PLC0415
    from daemon.face.nights import nights  # noqa: PLC0415
    from daemon.face.notify.texts.digest import compose_digest  # noqa: PLC0415

    now = datetime.now(UTC)
    with ReadStore.open(Root(plan.root).store) as store:
        found = digest(store, night, NightHours.parse(plan.night), now)
        dues = {cycle.cycle: cycle.next_due for cycle in nights(store, night, now)}
    if not (found.runs or found.others or found.needs or undelivered or any(dues.values())):
        return None  # nothing was at work, and nothing will be
    return compose_digest(found, dues, undelivered, destination.language, plan)


def send_message(credentials: Path, destination: Destination, message: Message) -> Answer:
    """Send `message` to `destination`."""
    from daemon.face.notify.credentials import Credentials  # noqa: PLC0415
    from daemon.face.notify.senders.address import address_of  # noqa: PLC0415
    from daemon.face.notify.senders.sending import send  # noqa: PLC0415

    kept = Credentials(credentials)
    try:
        address = address_of(kept.read(destination.credential).reveal())
        secret = kept.read(destination.secret) if destination.secret else None
    except BadInputError as error:
        return Answer(Outcome.UNUSABLE, str(error))
    return send(address, secret, message.payload, message.id, datetime.now(UTC))


def call(credentials: Path, credential: str) -> Answer:
    """Call the URL in `credential`."""
    from daemon.face.notify.credentials import Credentials  # noqa: PLC0415
    from daemon.face.notify.senders.address import Webhook, address_of  # noqa: PLC0415
    from daemon.face.notify.senders.webhook import beat  # noqa: PLC0415

    try:
        address = address_of(Credentials(credentials).read(credential).reveal())
    except BadInputError as error:
        return Answer(Outcome.UNUSABLE, str(error))
    if not isinstance(address, Webhook):
        return Answer(Outcome.UNUSABLE, f"credential {credential}: a heartbeat is a URL, https://…")
    return beat(address, datetime.now(UTC))
