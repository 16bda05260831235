"""The steps of a training for programs: as columns for a curve, and as CSV."""

import asyncio
import csv as lines_of_values
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice

from starlette.responses import JSONResponse, Response, StreamingResponse

from daemon.core.states import Job
from daemon.face.web.asking import Asked
from daemon.face.web.curves import VALUES
from daemon.face.web.finding import job_of, open_store

POINTS = 1000
_MOST_POINTS = 20_000
_MOST_STEPS = 1 << 53
_AT_ONCE = 500
"""Rows of CSV."""


def columns(asked: Asked) -> Response:
    """Return columns by name: at most `points` of them, behind step `after`. Raises NotThereError, OSError."""
    after = asked.number("after", 0, _MOST_STEPS, 0)
    points = asked.number("points", 2, _MOST_POINTS, POINTS)
    return JSONResponse(asked.site.curves.of(_job(asked).directory(asked.site.root.path), points, after).as_json())


def csv(asked: Asked) -> Response:
    """Return every step that counts, a line each. Raises NotThereError, OSError."""
    job = _job(asked)
    rows = asked.site.curves.rows_of(job.directory(asked.site.root.path))
    headers = {"Content-Disposition": f'attachment; filename="job-{job.id}-steps.csv"'}
    return StreamingResponse(_lines(rows), media_type="text/csv; charset=utf-8", headers=headers)


async def _lines(rows: Iterator[tuple[float | None, ...]]) -> AsyncIterator[str]:
    """Yield some rows at a time: all of a long training would take a dozen megabytes, and the loop a second."""
    piece: Sequence[Sequence[object]] = [("step", *VALUES)]
    while piece:
        text = io.StringIO()
        lines_of_values.writer(text).writerows(piece)
        yield text.getvalue()
        await asyncio.sleep(0)  # others have their turn
        piece = list(islice(rows, _AT_ONCE))


def _job(asked: Asked) -> Job:
    with open_store(asked) as store:
        return job_of(store, asked)
