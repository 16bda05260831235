"""What children do: read settings, make a message, send it, call a URL. Only here are records and secrets read."""

from datetime import UTC, datetime
from pathlib import Path

from daemon.face.notify.message import Answer, Message, Outcome
from daemon.face.notify.plan import Destination, Files, Plan
from handlers.errors import BadInputError


def plan_of(files: Files) -> Plan | str:
    """Return what the settings say, or what is wrong with them."""
    from daemon.face.notify.planning import read_plan  # noqa: PLC0415 - here and below: only a child has room for it

    try:
        return read_plan(files)
    except BadInputError as error:
        return str(error)


def send_message(credentials: Path | None, destination: Destination, message: Message) -> Answer:
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


def call(credentials: Path | None, credential: str) -> Answer:
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
