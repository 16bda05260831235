"""Which address is which view, and how an answer becomes one of HTTP."""

from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from daemon.core.database import StoreError
from daemon.core.error_codes import code_of
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.languages import language_of
from daemon.face.web.live import Streams, TooManyStreamsError
from daemon.face.web.reading_apart import NotReadError, Reads
from daemon.face.web.rendering import rendered
from daemon.face.web.rows import Live
from daemon.face.web.security import Security
from daemon.face.web.site import Site
from daemon.face.web.views import (
    api,
    compare,
    devices,
    failure,
    job,
    jobs,
    manual,
    night,
    nights,
    now,
    pictures,
    steps,
    trouble,
)
from daemon.face.words.reading import read_words
from handlers.errors import HandlerError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

View = Callable[[Asked], Page]
Answer = Callable[[Asked], Response]
Endpoint = Callable[[Request], Awaitable[Response]]

PAGES: dict[str, View] = {
    "/": now.now,
    "/jobs/{job}": job.job,
    "/jobs/{job}/failure": failure.failure,
    "/night": night.night,
    "/night/{night}": night.night,
    "/nights": nights.nights,
    "/jobs": jobs.jobs,
    "/compare": compare.compare,
    "/devices": devices.devices,
    "/help": manual.manual,
}
"""Whole pages."""
ANSWERS: dict[str, Answer] = {
    "/jobs/{job}/loss.svg": pictures.loss,
    "/api/v1/jobs/{job}/steps": steps.columns,
    "/jobs/{job}/steps.csv": steps.csv,
    "/compare.svg": compare.picture,
    "/api/v1/overview": api.overview_of_now,
    "/api/v1/jobs": api.jobs,
    "/api/v1/jobs/{job}": api.job,
    "/api/v1/night": api.night,
    "/api/v1/night/{night}": api.night,
    "/api/v1/nights": api.nights,
    "/api/v1/devices": api.devices,
}
"""What is no page."""
LIVE: dict[str, Callable[[Asked], Live]] = {
    "now": now.live,
    "job": job.live,
    "night": night.live,
    "devices": devices.live,
}
"""What streams can be about; behind a colon follows which."""


class Application:
    """The page of one root."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.reads = Reads()
        self.streams = Streams(self.reads)
        self.asgi = Starlette(
            routes=[
                *(Route(path, self._page(view)) for path, view in PAGES.items()),
                *(Route(path, self._answer(answer)) for path, answer in ANSWERS.items()),
                Route("/events", self._events),
                Route("/healthz", _is_well),
                Route("/favicon.ico", self._icon),
                Route("/static/{digest}/{name}", self._static),
            ],
            middleware=[Middleware(Security, web=site.web), Middleware(GZipMiddleware, minimum_size=600)],
            exception_handlers={HTTPException: self._refused},
        )
        self.asgi.router.redirect_slashes = False

    def asked(self, request: Request, place: dict[str, str] | None = None) -> Asked:
        """Return what a request asks."""
        chosen, language = language_of(self.site.web.language, request.query_params, request.headers)
        return Asked(
            site=self.site,
            words=read_words(language),
            place=request.path_params if place is None else place,
            query={key: ",".join(request.query_params.getlist(key)) for key in request.query_params if key != "lang"},
            chosen=chosen,
            address=request.url.path,
        )

    def _page(self, view: View) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            asked = self.asked(request)
            try:
                return await self._read(asked, partial(_whole, view, asked))
            except (HandlerError, StoreError, OSError) as error:
                return await self._trouble(asked, error)

        return endpoint

    def _answer(self, answer: Answer) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            asked = self.asked(request)
            try:
                return await self._read(asked, partial(answer, asked))
            except (HandlerError, StoreError, OSError) as error:
                return PlainTextResponse(f"{error}\n", _status(error))

        return endpoint

    async def _read(self, asked: Asked, function: Callable[[], Response]) -> Response:
        jobs = asked.place.get("job") or asked.query.get("jobs")  # whose files are read
        return await self.reads.read(f"job {jobs}" if jobs else "the root", function)

    async def _events(self, request: Request) -> Response:
        kind, _, which = request.query_params.get("of", "").partition(":")
        look = LIVE.get(kind)
        if look is None:
            return PlainTextResponse("there is nothing to be told of that\n", 404)
        asked = self.asked(request, {"job": which} if which else {})
        what = f"{kind} {which} in {asked.words.language}"
        try:
            events = self.streams.open(what, partial(look, asked))
        except TooManyStreamsError:
            return PlainTextResponse("too many look already; ask now and then\n", 503)
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _trouble(self, asked: Asked, error: Exception) -> Response:
        status = _status(error)
        if status >= 500:
            log.warning("page_not_made", path=asked.address, code=code_of(error), reason=str(error))
        page = trouble.trouble(asked, error, status)
        return HTMLResponse(rendered(page, asked), status)

    async def _refused(self, request: Request, error: Exception) -> Response:
        asked = self.asked(request, {})
        status = error.status_code if isinstance(error, HTTPException) else 500
        told = NotThereError(asked.say("nothing_here")) if status == 404 else NotReadError(str(error))
        return HTMLResponse(rendered(trouble.trouble(asked, told, status), asked), status)

    async def _static(self, request: Request) -> Response:
        found = self.site.static.at(request.url.path)
        if found is None:
            return PlainTextResponse("there is no such file\n", 404)
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.zipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.kind)
        return Response(found.content, headers=headers, media_type=found.kind)

    async def _icon(self, request: Request) -> Response:
        del request
        found = self.site.static.at(self.site.static.path("icon.svg"))
        content = b"" if found is None else found.content
        return Response(content, media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})


def _whole(view: View, asked: Asked) -> Response:
    page = view(asked)
    return HTMLResponse(rendered(page, asked), page.status)


def _status(error: Exception) -> int:
    return 404 if isinstance(error, NotThereError) else 503


async def _is_well(request: Request) -> Response:
    del request
    return PlainTextResponse("ok\n")
