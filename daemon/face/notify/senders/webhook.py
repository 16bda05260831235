"""Webhooks by Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks): signed POSTs of JSON."""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime

from daemon.face.notify.message import Answer, Outcome, Payload
from daemon.face.notify.secret import Secret
from daemon.face.notify.senders.address import Webhook
from daemon.face.notify.senders.calling import Call, NoAnswerError, Reply, call
from daemon.face.notify.senders.limits import Limits
from daemon.face.notify.senders.waiting import seconds_to_wait
from handlers.codes import Code
from handlers.errors import BadInputError

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
"""How long a key can be, by the specification."""
_GONE = 410
_ASK_TO_WAIT = {429, 503}


def send(
    address: Webhook, secret: Secret | None, payload: Payload, message_id: str, now: datetime, limits: Limits
) -> Answer:
    """Post `payload`'s document, and say what came of it. Raises BadInputError for a signing key that is none."""
    body = json.dumps(payload.document, separators=(",", ":"), default=str).encode()
    stamp = str(int(now.timestamp()))
    headers = {"content-type": "application/json", "webhook-id": message_id, "webhook-timestamp": stamp}
    if secret is not None:
        headers["webhook-signature"] = signatures(secret, f"{message_id}.{stamp}.".encode() + body)
    return _try(
        address, Call("POST", headers, body), (address.url, *_known(address.login), *_known(secret)), now, limits
    )


def beat(address: Webhook, now: datetime, limits: Limits | None = None) -> Answer:
    """Call `address` as monitors for heartbeats want it: a GET with nothing to say."""
    return _try(address, Call("GET", {}, None), (address.url, *_known(address.login)), now, limits or Limits())


def signatures(secret: Secret, signed: bytes) -> str:
    """Return `webhook-signature` of `signed`: one signature for each key in `secret`, which blanks separate.

    Two keys are for the days in which receivers change from one to the other. Raises BadInputError.
    """
    keys = [_key(word) for word in secret.reveal().split()]
    if None in keys or not keys:
        raise BadInputError(
            f"the signing key of a webhook is {_PREFIX} and 24 to 64 bytes in base64: "
            f'echo "{_PREFIX}$(openssl rand -base64 32)" makes one',
            Code.NOTIFY_SIGNING_KEY,
        )
    digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys if key is not None]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _key(word: str) -> bytes | None:
    try:
        key = base64.b64decode(word.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if word.startswith(_PREFIX) and len(key) in _KEY_BYTES else None


def _known(secret: Secret | None) -> tuple[Secret, ...]:
    return () if secret is None else (secret,)


def _try(address: Webhook, what: Call, secrets: tuple[Secret, ...], now: datetime, limits: Limits) -> Answer:
    try:
        reply = call(address, what, limits)
    except NoAnswerError as error:
        return Answer(Outcome.FAILED, f"{address.scheme}://{address.host}: {error}")
    return _answer(reply, secrets, now, limits)


def _answer(reply: Reply, secrets: tuple[Secret, ...], now: datetime, limits: Limits) -> Answer:
    if reply.status // 100 == 2:
        return Answer(Outcome.SENT, f"HTTP {reply.status}")
    outcome = Outcome.GONE if reply.status == _GONE else Outcome.FAILED
    wait = seconds_to_wait(reply.retry_after, now, limits) if reply.status in _ASK_TO_WAIT else None
    return Answer(outcome, reply.in_short(secrets), wait)
