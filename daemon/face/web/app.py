"""Which address is which view, and how an answer becomes one of HTTP."""

import contextlib
import re
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from daemon.core.database import StoreError
from daemon.core.error_codes import code_of
from daemon.core.presence import Presence
from daemon.face.metrics import families
from daemon.face.metrics.exporter import Exporter
from daemon.face.metrics.exposition import CONTENT_TYPE
from daemon.face.web.actions import Actions
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.daemon_word import DaemonWord, daemon_word
from daemon.face.web.languages import language_of
from daemon.face.web.live import Stream, Streams, TooManyStreamsError
from daemon.face.web.reading_apart import NotReadError, Reads
from daemon.face.web.rendering import rendered
from daemon.face.web.rows import Live
from daemon.face.web.security import Security
from daemon.face.web.site import Site
from daemon.face.web.views import (
    api,
    api_of_job,
    compare,
    config,
    devices,
    failure,
    job,
    jobs,
    manual,
    night,
    nights,
    now,
    output,
    pictures,
    ranks,
    steps,
    trouble,
)
from daemon.face.web.views import log as log_view
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
    "/jobs/{job}/ranks": ranks.ranks,
    "/jobs/{job}/config": config.config,
    "/jobs/{job}/output": output.output,
    "/jobs/{job}/log": log_view.log,
    "/jobs/{job}/events": log_view.events,
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
    "/jobs/{job}/output/{file}": output.file,
    "/jobs/{job}/log/raw": log_view.whole,
    "/jobs/{job}/events/raw": log_view.whole_events,
    "/api/v1/jobs/{job}/log": log_view.lines,
    "/compare.svg": compare.picture,
    "/api/v1/overview": api.overview_of_now,
    "/api/v1/jobs": api.jobs,
    "/api/v1/jobs/{job}": api.job,
    "/api/v1/jobs/{job}/ranks": api_of_job.ranks,
    "/api/v1/jobs/{job}/config": api_of_job.config,
    "/api/v1/jobs/{job}/output": api_of_job.output,
    "/api/v1/jobs/{job}/failure": api_of_job.failure,
    "/api/v1/jobs/{job}/events": api_of_job.events,
    "/api/v1/compare": api.compare,
    "/api/v1/night": api.night,
    "/api/v1/night/{night}": api.night,
    "/api/v1/nights": api.nights,
    "/api/v1/devices": api.devices,
}
"""What is no page."""
LIVE: dict[str, Callable[[Asked], Live]] = {
    "now": now.live,
    "job": job.live,
    "log": log_view.live,
    "ranks": ranks.live,
    "night": night.live,
    "devices": devices.live,
}
"""What streams can be about."""
_OF_ONE_JOB = frozenset({"job", "log", "ranks"})
"""Behind a colon follows which."""
_OF_ALL = frozenset({"now", "devices"})

_AS_THEY_ARE = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "text/plain", "application/octet-stream")
"""Files as they are: a range of a zipped one would be one of other bytes."""


class Application:
    """The page of one root."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.reads = Reads()
        self.streams = Streams(self.reads, site.root)
        self.exporter = Exporter(site.root)
        routes = Starlette(
            routes=[
                *(Route(path, self._page(path, view)) for path, view in PAGES.items()),
                *(Route(path, self._answer(path, answer)) for path, answer in ANSWERS.items()),
                *Actions(site.web, self).routes,
                Route("/events", self._events),
                Route("/healthz", _is_well),
                Route("/metrics", self._metrics),
                Route("/favicon.ico", self._icon),
                Route("/static/{digest}/{name}", self._static),
            ],
            middleware=[
                Middleware(GZipMiddleware, minimum_size=600, compresslevel=6, exclude_content_types=_AS_THEY_ARE),
            ],
            exception_handlers={HTTPException: self._refused, Exception: self._broken},
        )
        routes.router.redirect_slashes = False
        self.asgi = Security(routes, site.web)  # outermost, so that answers to defects are as safe as others

    def asked(self, request: Request, place: dict[str, str] | None = None) -> Asked:
        """Return what a request asks."""
        chosen, language = language_of(self.site.web.language, request.query_params, request.headers)
        return Asked(
            site=self.site,
            words=read_words(language),
            place=request.path_params if place is None else place,
            query={key: ",".join(request.query_params.getlist(key)) for key in request.query_params if key != "lang"},
            chosen=chosen,
            address="/" + quote(request.scope["path"].lstrip("/")),  # //HOST would be another host's
        )

    def _page(self, path: str, view: View) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await self.shown(self.asked(request), path, view)

        return endpoint

    async def shown(self, asked: Asked, path: str, view: View) -> Response:
        """Return what a view shows, or what prevents it."""
        try:
            return await self.reads.read(_whose(asked, path), partial(_whole, view, asked))
        except (HandlerError, StoreError, OSError) as error:
            return await self._trouble(asked, error, _status(error))

    def _answer(self, path: str, answer: Answer) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            asked = self.asked(request)
            try:
                return await self.reads.read(_whose(asked, path), partial(answer, asked))
            except (HandlerError, StoreError, OSError) as error:
                return PlainTextResponse(f"{self.site.hidden.in_lines(str(error))}\n", _status(error))

        return endpoint

    async def _events(self, request: Request) -> Response:
        kind, _, which = request.query_params.get("of", "").partition(":")
        look = LIVE.get(kind)
        if look is None or (kind in _OF_ONE_JOB and not which) or (kind in _OF_ALL and which):
            return PlainTextResponse("there are no live updates of that\n", 404)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        asked = self.asked(request, {"job": which} if which else {})
        topic = kind, which, asked.words.language, asked.chosen
        try:
            stream = self.streams.open(topic, _whose(asked, kind), partial(_masked, look, asked))
        except TooManyStreamsError:
            return PlainTextResponse("too many readers already; reload now and then\n", 503)
        return _Events(self.streams, stream)

    async def _metrics(self, request: Request) -> Response:
        del request
        scrape = partial(self.exporter.scrape, families.WEB_STREAMS(self.streams.count))
        try:
            found = await self.reads.read("metrics", scrape)
        except NotReadError as error:
            return PlainTextResponse(f"{error}\n", 503)
        for part, stood_against in found.failures.items():
            log.warning("metrics_part_not_made", part=part, code=code_of(stood_against), reason=str(stood_against))
        return Response(found.text, headers={"Content-Type": CONTENT_TYPE})

    async def _trouble(self, asked: Asked, error: Exception, status: int) -> Response:
        if status >= 500:
            log.warning("page_not_made", path=asked.address, code=code_of(error), reason=str(error))
        daemon = DaemonWord(Presence.UNKNOWN)
        if not isinstance(error, NotReadError):
            with contextlib.suppress(NotReadError):
                daemon = await self.reads.read("the daemon's word", partial(daemon_word, self.site.root))
        return HTMLResponse(rendered(trouble.trouble(asked, error, status), asked, daemon), status)

    async def _refused(self, request: Request, error: Exception) -> Response:
        asked = self.asked(request, {})
        status = error.status_code if isinstance(error, HTTPException) else 500
        shown = NotThereError(asked.say("nothing_here")) if status == 404 else NotReadError(str(error))
        return await self._trouble(asked, shown, status)

    async def _broken(self, request: Request, error: Exception) -> Response:
        """Answer what nobody foresaw; Starlette raises it again then, and the journal has it."""
        return await self._trouble(self.asked(request, {}), error, 500)

    async def _static(self, request: Request) -> Response:
        found = self.site.static.at(request.scope["path"])
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


class _Events(StreamingResponse):
    """A stream, which is closed however its answer ends: also before it began."""

    def __init__(self, streams: Streams, stream: Stream) -> None:
        super().__init__(stream.events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._close = partial(streams.close, stream)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


def _whose(asked: Asked, otherwise: str) -> str:
    """Return whose files are read: one job's, in whatever way it is written, or those of a page."""
    if "job" not in asked.place:
        return f"jobs {asked.query['jobs']:.200}" if "jobs" in asked.query else otherwise
    number = re.split("[-:]", asked.place["job"], maxsplit=1)[0]
    return f"job {number.lstrip('0'):.15}"


def _whole(view: View, asked: Asked) -> Response:
    page = view(asked)
    return HTMLResponse(rendered(page, asked, daemon_word(asked.site.root)), page.status)


def _masked(look: Callable[[Asked], Live], asked: Asked) -> Live:
    return look(asked).masked_by(asked.site.hidden.in_lines)


def _status(error: Exception) -> int:
    return 404 if isinstance(error, NotThereError) else 503


async def _is_well(request: Request) -> Response:
    del request
    return PlainTextResponse("ok\n")
