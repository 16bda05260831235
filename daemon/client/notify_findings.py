"""`glmd doctor` on notifications: whether each destination can be told, and what somebody should know of it."""

import os
from collections.abc import Iterator

from daemon.client.finding import Finding, Verdict
from daemon.core.notify_settings import DestinationSettings, credential_in
from daemon.core.settings import Settings
from daemon.face.notify.credentials import Credentials
from daemon.face.notify.senders.address import Webhook, address_of, notes_of
from handlers.errors import BadInputError


def of_notifications(settings: Settings) -> Iterator[Finding]:
    """Yield what is found of each destination; one line where there is none."""
    destinations = settings.notify.destinations
    credentials = Credentials.of(os.environ)
    if not destinations:
        advice = "to get messages in DingTalk, Feishu, WeCom, Slack or by mail: docs/notifications.md"
        yield Finding("notifications", Verdict.OK, f"glmd sends no messages; {advice}")
    for destination in destinations:
        yield _of_destination(destination, credentials)
    if settings.notify.heartbeat:
        yield _of_heartbeat(settings.notify.heartbeat, credentials)


def _of_destination(destination: DestinationSettings, credentials: Credentials) -> Finding:
    name = f"notify {destination.name}"
    try:
        address = address_of(credentials.read(credential_in(destination.url)).reveal())
        if destination.secret:
            credentials.read(credential_in(destination.secret))
    except BadInputError as error:
        return Finding(name, Verdict.NOTE, str(error), "glmd can send nothing there until you fix this")
    if destination.secret and not isinstance(address, Webhook):
        return Finding(
            name, Verdict.NOTE, f"{address} is no webhook, so glmd signs nothing for it", "remove its secret"
        )
    if notes := notes_of(address):
        return Finding(name, Verdict.NOTE, "; ".join(notes), f"glmd notify test {destination.name} tries it")
    return Finding(name, Verdict.OK, f"{address}; glmd notify test {destination.name} tries it")


def _of_heartbeat(credential: str, credentials: Credentials) -> Finding:
    try:
        address = address_of(credentials.read(credential_in(credential)).reveal())
    except BadInputError as error:
        return Finding("heartbeat", Verdict.NOTE, str(error), "glmd calls nobody until you fix this")
    if not isinstance(address, Webhook):
        return Finding("heartbeat", Verdict.NOTE, f"{address} is no URL", "name one that begins with https://")
    return Finding("heartbeat", Verdict.OK, str(address))
