"""One HTTP request, with the standard library: proxies of the environment, TLS verified, no redirect, little memory."""

import base64
import http.client
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import IO

from daemon.face.notify.secret import Secret, redacted
from daemon.face.notify.senders.address import Webhook
from daemon.face.notify.senders.limits import MOST_CHARACTERS, Limits
from handlers.printable import printable


class NoAnswerError(Exception):
    """No answer came; the text says why and what to do, and holds no secret."""


@dataclass(frozen=True)
class Call:
    """What is asked."""

    method: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    retry_after: str
    text: str
    """The beginning of its body; empty where it said yes."""

    def in_short(self, secrets: Iterable[Secret]) -> str:
        """Return status and text in one short line, in which nothing of `secrets` is left."""
        # First hidden, then cut: of a secret that was cut nobody would know.
        text = printable(redacted(" ".join(self.text.split()), secrets))[:MOST_CHARACTERS]
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (
        ssl.SSLCertVerificationError,
        "its certificate is not trusted ({error.verify_message}): name its issuer's file in SSL_CERT_FILE",
    ),
    (ssl.SSLError, "no TLS is spoken there: see the port, or whether it is http:// or smtp://"),
    (TimeoutError, "no answer within {seconds:g} s: check whether it runs, and whether a firewall drops the packets"),
    (socket.gaierror, "its name is not known: check its spelling, and this host's DNS"),
    (ConnectionRefusedError, "nothing listens there: check its port, and whether it runs"),
    # http.client's, of an end before the first line, is a ConnectionError, too.
    (ConnectionError, "it closed the connection without an answer: see its log"),
)
"""Why there is no answer, and what to do; the first that fits."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like another: who signs a message knows where it goes."""

    def redirect_request(self, *_args: object) -> None:
        return None


def call(address: Webhook, what: Call, limits: Limits) -> Reply:
    """Ask `address`, and return its answer, whatever status it has. Raises NoAnswerError."""
    opener = urllib.request.build_opener(
        _NoRedirect(), urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    opener.addheaders = []  # its own user-agent would come beside ours
    try:
        request = urllib.request.Request(address.url.reveal(), what.body, _headers(address, what), method=what.method)  # noqa: S310 - http and https only: address_of
        with opener.open(request, timeout=limits.seconds) as response:
            # A 2xx says all there is to say; its body may have no end.
            return Reply(response.status, "", "")
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers.get("retry-after", ""), _beginning(error.fp, limits))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = why_not(error, limits)
    # Out here no other error is in its context: theirs may hold the URL.
    raise NoAnswerError(reason)


def why_not(error: BaseException, limits: Limits) -> str:
    """Return why there is no answer, and what to do; none of it is `error`'s own text, which may hold the URL."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return why_not(error.reason, limits)
    known = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "")
    if known:
        return known.format(error=error, seconds=limits.seconds)
    if isinstance(error, OSError) and error.errno:
        return f"{os.strerror(error.errno)}: see this host's network"
    if isinstance(error, OSError):
        return "the proxy refused it: see https_proxy and no_proxy"
    return "what answers there does not speak HTTP: see the port"


def _headers(address: Webhook, what: Call) -> dict[str, str]:
    headers = {"user-agent": f"glmd/{version('glmd')}", **what.headers}
    if address.login is not None:
        headers["authorization"] = "Basic " + base64.b64encode(address.login.reveal().encode()).decode()
    return headers


def _beginning(body: IO[bytes], limits: Limits) -> str:
    """Return the beginning of an answer's body, as text; the rest may take for ever."""
    try:
        read = body.read1 if isinstance(body, http.client.HTTPResponse) else body.read
        return read(limits.answer_bytes).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""  # it had said its status before
