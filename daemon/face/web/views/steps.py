"""The steps of a training for programs: as columns for a curve, and as CSV."""

import csv as lines_of_values
import io

from starlette.responses import JSONResponse, Response

from daemon.face.web.asking import Asked
from daemon.face.web.curves import VALUES
from daemon.face.web.finding import job_of, open_store
from handlers.records.job_dir import JobDir

POINTS = 1000
_MOST_POINTS = 100_000
_MOST_STEPS = 1 << 53


def columns(asked: Asked) -> Response:
    """Return columns by name: at most `points` of them, behind step `after`. Raises NotThereError, OSError."""
    after = asked.number("after", 0, _MOST_STEPS, 0)
    points = asked.number("points", 2, _MOST_POINTS, POINTS)
    return JSONResponse(asked.site.curves.of(_directory(asked), points, after).as_json())


def csv(asked: Asked) -> Response:
    """Return every step that is recorded, a line each. Raises NotThereError, OSError."""
    found = asked.site.curves.of(_directory(asked), _MOST_POINTS)
    text = io.StringIO()
    writer = lines_of_values.writer(text)
    writer.writerow(["step", *VALUES])
    for place, number in enumerate(found.number):
        writer.writerow([number, *(_cell(found.values[name][place]) for name in VALUES)])
    headers = {"Content-Disposition": f'attachment; filename="job-{asked.place["job"]:.4}-steps.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _directory(asked: Asked) -> JobDir:
    with open_store(asked) as store:
        return job_of(store, asked).directory(asked.site.root.path)
