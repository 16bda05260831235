"""One message to one address, by whatever way that address is."""

import traceback
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from daemon.face.notify.message import Answer, Outcome, Payload
from daemon.face.notify.secret import Secret
from daemon.face.notify.senders import mail, robots, webhook
from daemon.face.notify.senders.address import Address, Mail, Webhook
from daemon.face.notify.senders.limits import Limits
from handlers.errors import BadInputError

_MOST_CHARACTERS = 300
"""Characters, as `Answer.text` promises: a host's name alone may have 253."""


def send(
    address: Address,
    secret: Secret | None,
    payload: Payload,
    message_id: str,
    now: datetime,
    limits: Limits | None = None,
) -> Answer:
    """Send `payload` to `address`, and say what came of it; nothing is raised, and nothing said holds a secret.

    `secret` signs what goes to a webhook. `message_id` is the same at each try of a message, `now` is that of this try.
    """
    answer = _try(address, secret, payload, message_id, now, limits or Limits())
    return replace(answer, text=answer.text[:_MOST_CHARACTERS])


def _try(
    address: Address, secret: Secret | None, payload: Payload, message_id: str, now: datetime, limits: Limits
) -> Answer:
    try:
        match address:
            case Webhook():
                return webhook.send(address, secret, payload, message_id, now, limits)
            case Mail():
                return mail.send(address, payload, message_id, now, limits)
        return robots.send(address.url, address.scheme, payload, now, limits)
    except BadInputError as error:
        return Answer(Outcome.UNUSABLE, str(error))
    except Exception as error:  # noqa: BLE001 - recorded as the answer: its text may hold the address
        return Answer(Outcome.FAILED, _defect(error))


def _defect(error: Exception) -> str:
    """Return where an error that nobody foresaw came from, without its text."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"a defect of glmd's, please report it: {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
