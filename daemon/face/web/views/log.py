"""The logs of a job, a piece at a time: by bytes, so that a link to a line stays right; searched, and followed."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from starlette.responses import JSONResponse, Response

from daemon.core.states import Job, State
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.job_files import Kind, Log, attempts_of, log_asked_for, logs_of, opened
from daemon.face.web.log_masks import masked
from daemon.face.web.log_pieces import Piece, piece_before, piece_from, shown, size_of
from daemon.face.web.log_search import Found, look_back, look_forward
from daemon.face.web.rows import Live
from daemon.face.web.whole_file import WholeFile
from handlers.units.byte_sizes import format_size

_MOST_BYTES = 1 << 62
"""Of a log."""
_LONGEST_SEARCH = 200
_BEFORE_HIT = 1 << 11
"""Bytes that are shown before what was found."""
_WRITING = frozenset({State.PREPARING, State.SUBMITTED, State.TRAINING, State.MERGING, State.EVALUATING})


@dataclass(frozen=True)
class Tab:
    """A log that can be chosen."""

    label: str
    href: str
    chosen: bool


@dataclass(frozen=True)
class Part:
    """Some text of a line."""

    text: str
    found: bool


@dataclass(frozen=True)
class Shown:
    """A line of the page."""

    at: int
    parts: tuple[Part, ...]
    is_hit: bool


@dataclass(frozen=True)
class Search:
    """What was searched, and what came of it."""

    text: str
    any_case: bool
    result: str
    """What to say of it; empty where it was found."""
    next: str
    previous: str
    go_on: str
    """Where to go on looking; empty where all was looked through."""


@dataclass(frozen=True)
class LogPage:
    """What the page shows."""

    job: Job
    log: Log | None
    """None where there is none yet."""
    tabs: tuple[Tab, ...]
    attempts: tuple[Tab, ...]
    lines: tuple[Shown, ...] = ()
    start: int = 0
    end: int = 0
    size: int = 0
    next: int = 0
    older: str = ""
    newer: str = ""
    newest: str = ""
    whole: str = ""
    here: str = ""
    """The address that a line's number is put behind."""
    news: str = ""
    """Where what was written since is asked for; empty where nothing is followed."""
    fields: tuple[tuple[str, str], ...] = ()
    """What a search keeps of the address."""
    search: Search | None = None


def log(asked: Asked) -> Page:
    """Return the page of a job's log. Raises NotThereError, StoreError, OSError."""
    job = _job(asked)
    root = asked.site.root.path
    chosen = log_asked_for(job, asked.query, asked)
    attempt = asked.number("attempt", 1, job.attempt, job.attempt)
    there = logs_of(job, attempt, root)
    return _page(job, chosen or next(iter(there), None), there, asked)


def events(asked: Asked) -> Page:
    """Return the page of a job's events. Raises NotThereError, StoreError, OSError."""
    job = _job(asked)
    return _page(job, Log(Kind.EVENTS, job.attempt), logs_of(job, job.attempt, asked.site.root.path), asked)


def live(asked: Asked) -> Live:
    """Return how long the log is that a topic names, as `42:rank:1:3`: attempt 1, rank 3.

    Raises NotThereError, StoreError, OSError.
    """
    number, _, rest = asked.place["job"].partition(":")
    kind, _, rest = rest.partition(":")
    attempt, _, rank = rest.partition(":")
    query = {"of": kind, "attempt": attempt} | ({"rank": rank} if rank else {})
    asked = replace(asked, place={"job": number}, query=query)
    job = _job(asked)
    chosen = log_asked_for(job, query, asked)
    revision = f"{job.state} {job.attempt}"
    if chosen is None:
        return Live({}, {}, revision)
    path = chosen.path(job, job.directory(asked.site.root.path))
    try:
        with opened(job, path, asked) as stream:
            size = size_of(stream)
    except NotThereError:
        return Live({}, {}, f"{revision} -", (path,))
    return Live({"bytes": str(size), "size": format_size(size)}, {}, revision, (path,))


def lines(asked: Asked) -> Response:
    """Return the lines from byte `at` on, at most one piece of them. Raises NotThereError, StoreError, OSError."""
    job = _job(asked)
    chosen = log_asked_for(job, asked.query, asked) or Log(Kind.EVENTS, job.attempt)
    with _opened(job, chosen, asked) as stream:
        found = shown(stream, piece_from(stream, asked.number("at", 0, _MOST_BYTES, 0)), asked.site.hidden)
    listed = [{"at": line.at, "text": line.text(is_event=chosen.kind is Kind.EVENTS)} for line in found.lines]
    return JSONResponse(
        {"start": found.start, "end": found.end, "next": found.next, "size": found.size, "lines": listed}
    )


def whole(asked: Asked) -> Response:
    """Return a log as it is. Raises NotThereError, StoreError, OSError."""
    job = _job(asked)
    chosen = log_asked_for(job, asked.query, asked)
    if chosen is None:
        raise NotThereError(asked.words.say("log", "no_such"))
    return _whole(job, chosen, asked)


def whole_events(asked: Asked) -> Response:
    """Return a job's events as they are kept. Raises NotThereError, StoreError, OSError."""
    job = _job(asked)
    return _whole(job, Log(Kind.EVENTS, job.attempt), asked)


def _whole(job: Job, chosen: Log, asked: Asked) -> WholeFile:
    stream, hidden = _opened(job, chosen, asked), asked.site.hidden
    tell = partial(masked, stream, hidden=hidden)
    return WholeFile(stream, f"job-{job.id}-{chosen.file_name}", "text/plain; charset=utf-8", tell)


def _job(asked: Asked) -> Job:
    with open_store(asked) as store:
        return job_of(store, asked)


def _opened(job: Job, chosen: Log, asked: Asked) -> io.FileIO:
    return opened(job, chosen.path(job, job.directory(asked.site.root.path)), asked)


def _page(job: Job, chosen: Log | None, there: Sequence[Log], asked: Asked) -> Page:
    content = LogPage(job, chosen, tuple(_tabs(job, chosen, there, asked)), tuple(_attempts(job, chosen, asked)))
    if chosen is None or (chosen.kind is Kind.EVENTS and not _is_there(job, chosen, asked)):
        content = replace(content, log=None)
    else:
        with _opened(job, chosen, asked) as stream:
            content = _filled(content, chosen, stream, asked)
    title = f"{job.id} {job.name}: {asked.say('log')}"
    return Page("log.html", title, content, "jobs", _topic(content), scripts=("log.js",) if content.news else ())


def _topic(content: LogPage) -> str:
    """Return what the page wants to be told of: it is followed where it shows the end of a log that is written."""
    job, chosen = content.job, content.log
    if chosen is None or not content.news:
        return "" if chosen or job.state.is_over else f"job:{job.id}"
    rank = "" if chosen.rank is None else f":{chosen.rank}"
    return f"log:{job.id}:{chosen.kind}:{chosen.attempt}{rank}"


def _is_there(job: Job, chosen: Log, asked: Asked) -> bool:
    try:
        _opened(job, chosen, asked).close()
    except NotThereError:
        return False
    return True


def _filled(content: LogPage, chosen: Log, stream: io.FileIO, asked: Asked) -> LogPage:
    job = content.job
    path, query = _address(job, chosen)
    text = asked.query.get("q", "")[:_LONGEST_SEARCH]
    hit: int | None = None
    search: Search | None = None
    if text:
        found, search = _searched(stream, text, path, query, asked)
        hit = found.at
    piece = shown(stream, _piece(stream, hit, asked), asked.site.hidden)
    newest = asked.url(path, **query)
    follows = not text and piece.end >= piece.size and job.state in _WRITING and chosen.attempt == job.attempt
    return replace(
        content,
        lines=tuple(_shown(piece, search, hit, is_event=chosen.kind is Kind.EVENTS)),
        start=piece.start,
        end=piece.end,
        size=piece.size,
        next=piece.next,
        older=asked.url(path, **query, before=piece.start) if piece.start > 0 else "",
        newer=asked.url(path, **query, at=piece.end) if piece.end < piece.size else "",
        newest=newest,
        whole=asked.url(f"{path}/raw", **query),
        here=f"{newest}{'&' if '?' in newest else '?'}at=",
        news=asked.url(f"/api/v1/jobs/{job.id}/log", **query) if follows else "",
        fields=tuple((key, str(value)) for key, value in {**query, "lang": asked.chosen or ""}.items() if value != ""),
        search=search,
    )


def _piece(stream: io.FileIO, hit: int | None, asked: Asked) -> Piece:
    if hit is not None:
        found = piece_from(stream, max(0, hit - _BEFORE_HIT))
        return found if hit < found.end else piece_from(stream, hit)  # it is in a line too long to be in there
    if not asked.query.get("q") and asked.query.get("at"):
        return piece_from(stream, asked.number("at", 0, _MOST_BYTES, 0))
    return piece_before(stream, asked.number("before", 0, _MOST_BYTES, _MOST_BYTES))


def _searched(stream: io.FileIO, text: str, path: str, query: dict[str, object], asked: Asked) -> tuple[Found, Search]:
    any_case = asked.query.get("case") == "any"
    backwards = asked.query.get("way") == "back"
    start = asked.number("at", 0, _MOST_BYTES, _MOST_BYTES if backwards else 0)
    look = look_back if backwards else look_forward
    found = look(stream, text.encode("utf-8", "replace"), start, any_case=any_case, hidden=asked.site.hidden)

    def at(place: int, way: str) -> str:
        case = "any" if any_case else ""
        return asked.url(path, **query, q=text, case=case, at=place, way=way) + "#hit"

    if found.at is not None:
        return found, Search(text, any_case, "", at(found.at + 1, ""), at(found.at, "back"), "")
    result = asked.words.say("log", "not_found" if found.is_over else "not_found_yet")
    go_on = "" if found.is_over else at(found.looked_to, "back" if backwards else "")
    return found, Search(text, any_case, result, "", "", go_on)


def _shown(piece: Piece, search: Search | None, hit: int | None, *, is_event: bool) -> Iterator[Shown]:
    text = search.text if search else ""
    flags = re.IGNORECASE | re.ASCII if search and search.any_case else re.NOFLAG
    pattern = re.compile(f"({re.escape(text)})", flags) if text else None
    ends = [line.at for line in piece.lines[1:]] + [piece.end]
    for line, end in zip(piece.lines, ends, strict=False):
        content = line.text(text, is_event=is_event)
        yield Shown(line.at, _parts(content, pattern), hit is not None and line.at <= hit < end)


def _parts(text: str, pattern: "re.Pattern[str] | None") -> tuple[Part, ...]:
    if pattern is None:
        return (Part(text, found=False),)
    return tuple(Part(part, bool(place % 2)) for place, part in enumerate(pattern.split(text)) if part)


def _address(job: Job, chosen: Log) -> tuple[str, dict[str, object]]:
    return f"/jobs/{job.id}/{'events' if chosen.kind is Kind.EVENTS else 'log'}", chosen.query(job)


def _tabs(job: Job, chosen: Log | None, there: Sequence[Log], asked: Asked) -> Iterator[Tab]:
    for log in (*there, Log(Kind.EVENTS, job.attempt)):
        path, query = _address(job, log)
        label = str(log.rank) if log.kind is Kind.RANK else asked.words.say("log", log.kind, rank=log.rank)
        yield Tab(label, asked.url(path, **query), log == chosen)


def _attempts(job: Job, chosen: Log | None, asked: Asked) -> Iterator[Tab]:
    if job.attempt > 1:
        for number in attempts_of(job):
            now = chosen.attempt if chosen else asked.number("attempt", 1, job.attempt, job.attempt)
            yield Tab(str(number), asked.url(f"/jobs/{job.id}/log", attempt=number), number == now)
