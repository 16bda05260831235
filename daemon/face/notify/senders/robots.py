"""Robots of chats, with Apprise (the extra `notify`), which is imported when there is one, and nowhere else."""

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from daemon.face.notify.message import Answer, Outcome, Payload
from daemon.face.notify.secret import HIDDEN, Secret, redacted
from daemon.face.notify.senders.limits import MOST_CHARACTERS, Limits
from daemon.face.notify.senders.waiting import seconds_to_wait
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable, printable_lines

if TYPE_CHECKING:
    import requests
    from apprise import NotifyBase

FORMS = {
    "oapi.dingtalk.com": "dingtalk://SECRET@TOKEN/",
    "open.feishu.cn": "feishu://TOKEN/",
    "open.larksuite.com": "lark://TOKEN/",
    "qyapi.weixin.qq.com": "wecombot://KEY/",
    "hooks.slack.com": "slack://TOKEN_A/TOKEN_B/TOKEN_C/",
    "api.telegram.org": "tgram://BOT_TOKEN/CHAT_ID/",
    "sctapi.ftqq.com": "schan://SENDKEY/",
    "api.day.app": "barks://api.day.app/DEVICE_KEY/",
}
"""Hosts of robots, whose URLs are no webhooks of ours, and what Apprise wants where it does not take those URLs."""

_NAMED = frozenset({form.partition("://")[0] for form in FORMS.values()}) | {"http", "https", "smtp", "smtps", "bark"}


def shown(scheme: str) -> str:
    """Return `scheme` where docs/notifications.md names it; any other word may be the beginning of a password."""
    return scheme if scheme in _NAMED else HIDDEN


_REFUSALS = {"dingtalk": "errcode", "wecombot": "errcode", "schan": "code"}
"""Robots that say no with HTTP 200, which Apprise 2.3 takes for a yes: the key of their answer that is 0 for yes."""

_MOST_BYTES = {"wecombot": 2000}
"""Title and text in UTF-8: WeCom takes 2048, and Apprise counts characters."""
_MOST_BYTES_OF_OTHERS = 3000
"""Bark's way to a phone takes 4096 with all around it, and a chat is no place for more."""

_ASK_TO_WAIT = {429, 503}
_MENTION = re.compile(r"<(?=[!@#/a-z])|@(?=all|channel|everyone|here|所有人)", re.IGNORECASE)
"""How chats write that everybody is to be called."""
_BREAK = "\N{WORD JOINER}"
_LOGGERS = ("apprise", "requests", "urllib3")


def scheme_of(url: Secret, scheme: str, host: str = "") -> str:
    """Return how Apprise calls the robot of `url`; `scheme` and `host` are the URL's own.

    Raises BadInputError where Apprise is not installed, or cannot use the URL.
    """
    return str(_plugin(url, scheme, host).schema)


def send(url: Secret, scheme: str, payload: Payload, now: datetime, limits: Limits) -> Answer:
    """Send title and text as plain text, in one message, and say what came of it. Raises as `scheme_of`."""
    plugin = _plugin(url, scheme)
    from apprise import NotifyFormat, OverflowMode  # noqa: PLC0415 - it is there, as we know by now

    plugin.socket_connect_timeout = plugin.socket_read_timeout = limits.seconds
    title, text = _fitting(payload, _MOST_BYTES.get(scheme, _MOST_BYTES_OF_OTHERS))
    with _logs_kept() as log, _answers_seen(limits) as seen:
        is_sent = plugin.notify(body=text, title=title, body_format=NotifyFormat.TEXT, overflow=OverflowMode.TRUNCATE)
    refusal = _refusal(seen.text, _REFUSALS.get(scheme, "")) if is_sent else ""
    if is_sent and not refusal:
        return Answer(Outcome.SENT)
    reason = refusal or seen.in_short() or (log[-1] if log else "Apprise could not send it")
    wait = seconds_to_wait(seen.retry_after, now, limits) if seen.status in _ASK_TO_WAIT else None
    shown = printable(redacted(" ".join(reason.split()), [url]))
    return Answer(Outcome.FAILED, f"{scheme}: {shown[:MOST_CHARACTERS]}", wait)


def _plugin(url: Secret, scheme: str, host: str = "") -> "NotifyBase":
    if find_spec("apprise") is None:
        form = FORMS.get(host, "")
        raise BadInputError(
            f"{shown(scheme)}://{host or HIDDEN} is a chat's robot, or another service of Apprise's, which is not "
            "installed: pip install 'glmd[notify]' in glmd's environment"
            + (f", and write the address as {form}" if form else ""),
            Code.NOTIFY_NO_APPRISE,
        )
    with _logs_kept():
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - 45 MB, for robots only

        asset = AppriseAsset(
            app_id="glmd", app_desc="glmd", app_url="", image_url_mask="", image_url_logo="", http_redirects=False
        )
        plugin = Apprise.instantiate(url.reveal(), asset=asset)
    if plugin is None:
        form = FORMS.get(host, "")
        raise BadInputError(
            f"{shown(scheme)}://{host or HIDDEN}: "
            + (f"this is the address of a robot: write it as {form}" if form else "Apprise knows no such address"),
            Code.NOTIFY_ADDRESS,
        )
    return plugin


def _fitting(payload: Payload, most: int) -> tuple[str, str]:
    """Return title and text, with nobody called by them, in so many bytes."""
    title, text = (
        _MENTION.sub(rf"\g<0>{_BREAK}", one) for one in (printable(payload.title), printable_lines(payload.text))
    )
    room = most - len(title.encode()) - len("\r\n…")
    if len(text.encode()) > room:
        text = text.encode()[:room].decode(errors="ignore") + "…"
    return (title, text) if text.strip() else ("", title)


@dataclass
class _Seen:
    """What the robot's server answered last."""

    status: int = 0
    text: str = ""
    retry_after: str = ""
    trouble: str = ""

    def in_short(self) -> str:
        """Return it in words; empty where it never answered, nor was asked."""
        return self.trouble or (f"HTTP {self.status}: {self.text}" if self.status else "")


def _refusal(text: str, key: str) -> str:
    """Return what an answer of HTTP 200 says no with; empty for a yes."""
    if not key:
        return ""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return f"what answers is no robot: {text}"
    if answer.get(key, 0) == 0:
        return ""
    return f"{key} {answer[key]}: {answer.get('errmsg') or answer.get('message') or ''}"


@contextmanager
def _answers_seen(limits: Limits) -> Iterator[_Seen]:
    """Let us see what servers answer: Apprise itself tells no more than yes or no."""
    import requests  # noqa: PLC0415

    seen = _Seen()
    original = requests.Session.send

    def send(
        session: "requests.Session", request: "requests.PreparedRequest", **options: object
    ) -> "requests.Response":
        try:
            response = original(session, request, **options)
        except requests.RequestException as error:
            seen.trouble = _TROUBLES.get(type(error).__name__, "no answer: see this host's network and the address")
            raise
        seen.status, seen.retry_after = response.status_code, response.headers.get("retry-after", "")
        seen.text, seen.trouble = response.content[: limits.answer_bytes].decode(errors="replace"), ""
        return response

    requests.Session.send = send  # type: ignore[assignment, method-assign]
    try:
        yield seen
    finally:
        requests.Session.send = original  # type: ignore[method-assign]


_TROUBLES = {
    "SSLError": "its certificate is not trusted, or it speaks no TLS: REQUESTS_CA_BUNDLE names a file of issuers",
    "ProxyError": "the proxy refused it: see https_proxy and no_proxy",
    "ConnectTimeout": "no answer in time: check whether a firewall drops the packets",
    "ReadTimeout": "no answer in time: check whether a firewall drops the packets",
}


@contextmanager
def _logs_kept() -> Iterator[list[str]]:
    """Keep to ourselves what Apprise and its libraries log and warn of, for tokens and URLs are in it."""
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield kept
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
