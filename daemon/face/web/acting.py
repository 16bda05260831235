"""Who may let the page ask the daemon for something: a browser that was shown the question by this very process."""

import hmac
import re
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request

from daemon.core.web_plan import WebPlan

COOKIE = "glmd-session"
MOST_BYTES = 4096
"""Of what a form sends."""
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Acting:
    """The sessions of one process: when it has ended, the question is to be asked again."""

    def __init__(self, web: WebPlan) -> None:
        self._key = secrets.token_bytes(32)
        self._web = web

    def session(self, cookies: Mapping[str, str]) -> str:
        """Return the session of a browser; a new one where it has none."""
        there = cookies.get(COOKIE, "")
        return there if _SESSION.fullmatch(there) else secrets.token_urlsafe(32)

    def cookie(self, session: str) -> str:
        """Return the header that lets a browser keep its session, and send it from this page alone (RFC 6265bis)."""
        secure = "; Secure" if (self._web.url or "").startswith("https:") else ""
        return f"{COOKIE}={session}; Path={self._web.prefix or '/'}; HttpOnly; SameSite=Strict{secure}"

    def token(self, session: str, action: str, job: int) -> str:
        """Return what a form has to bring back: it holds for this session, action and job."""
        return hmac.new(self._key, f"{session} {action} {job}".encode(), "sha256").hexdigest()

    def is_ours(self, request: Request, token: str, action: str, job: int) -> bool:
        """Say whether a form was sent by this page, and is the one that was shown."""
        right = self.token(request.cookies.get(COOKIE, ""), action, job)
        return self._is_same_origin(request.headers) and hmac.compare_digest(right.encode(), token.encode())

    def _is_same_origin(self, headers: Mapping[str, str]) -> bool:
        try:
            origin = urlsplit(headers.get("origin", ""))
        except ValueError:
            return False
        ours = {headers.get("host", "")} | ({urlsplit(self._web.url).netloc} if self._web.url else set())
        return origin.scheme in {"http", "https"} and origin.netloc in ours - {""}
