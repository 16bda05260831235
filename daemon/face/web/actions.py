"""What the page may ask the daemon for, where the settings let it: a question, then a form that it alone can send."""

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.web_plan import WebPlan
from daemon.face.web.acting import MOST_BYTES, Acting
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.views import act

if TYPE_CHECKING:
    from daemon.face.web.app import Application

_PATH = "/jobs/{job}/do/{action}"


class Actions:
    """The questions and forms of one process."""

    def __init__(self, web: WebPlan, application: "Application") -> None:
        self._web = web
        self._application = application
        self._acting = Acting(web)

    @property
    def routes(self) -> list[Route]:
        """Where they are; none where the page only reads."""
        if not self._web.actions:
            return []
        return [Route(_PATH, self._question), Route(_PATH, self._done, methods=["POST"])]

    async def _question(self, request: Request) -> Response:
        session = self._acting.session(request.cookies)
        asked = self._application.asked(request)
        answer = await self._application.shown(asked, _PATH, partial(act.question, self._token(session, asked)))
        answer.headers["Set-Cookie"] = self._acting.cookie(session)
        return answer

    async def _done(self, request: Request) -> Response:
        asked = self._application.asked(request)
        form = parse_qs(await _body(request), max_num_fields=10)
        token, reason = ((form.get(name) or [""])[0] for name in ("token", "reason"))
        if not self._acting.is_ours(request, token, asked.place["action"], _number(asked)):
            return await self._application.shown(asked, _PATH, _ask_again)
        return await self._application.shown(asked, _PATH, partial(act.done, reason, self._who(request)))

    def _token(self, session: str, asked: Asked) -> str:
        return self._acting.token(session, asked.place["action"], _number(asked))

    def _who(self, request: Request) -> str:
        """Return who asks, by the word of a proxy at the Unix socket: others could say anything."""
        is_unix = request.client is None or not request.client.port
        return request.headers.get(self._web.user_header, "") if self._web.user_header and is_unix else ""


def _ask_again(asked: Asked) -> Page:
    raise NotThereError(asked.say("ask_again"))


def _number(asked: Asked) -> int:
    text = asked.place["job"].partition("-")[0]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


async def _body(request: Request) -> str:
    """Return what a form sends; nothing of one that is longer than any of ours."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            return ""
    return content.decode("utf-8", "replace")
