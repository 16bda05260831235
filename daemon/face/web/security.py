"""What holds for every answer, whatever gave it: who may ask by which name, how, and what a browser may do with it."""

import re
from collections.abc import MutableMapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.core.web_plan import WebPlan

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_OWN = frozenset({"localhost"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,255}))(?::\d{1,5})?", re.ASCII)
"""RFC 9110, 7.2: an address or a name, and a port."""
LONGEST = 4096
"""Bytes of what an address asks: path and query."""


class Security:
    """The outermost part of the application."""

    def __init__(self, app: ASGIApp, web: WebPlan) -> None:
        self._app = app
        self._methods = ("GET", "HEAD", *(["POST"] if web.actions else []))
        ours = urlsplit(web.url).hostname if web.url else None
        self._hosts = _OWN | {host.strip("[]") for host in web.hosts} | ({ours} if ours else frozenset())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer, with the headers that each answer has."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, answer)
        else:
            await self._app(scope, receive, answer)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        host = Headers(scope=scope).get("host", "")
        if not self._knows(host):
            text = f"this is not {host:.100}: web: hosts: in the settings names what the page may be asked by\n"
            return PlainTextResponse(text, 421)
        if scope["method"] not in self._methods:
            return PlainTextResponse("the page only reads\n", 405, {"Allow": ", ".join(self._methods)})
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST:
            return PlainTextResponse("that address is too long\n", 414)
        return None

    def _knows(self, host: str) -> bool:
        """Say whether a request may ask by this name: a stranger's page may let its own lead to this host."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match[1] or match[2]).lower()
        return name in self._hosts or _is_loopback(name)


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _add_headers(message: MutableMapping[str, object]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)  # a picture has a policy of its own
    headers.setdefault("Cache-Control", "no-store")
