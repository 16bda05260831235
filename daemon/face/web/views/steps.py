"""The steps of a training for programs: as columns for a curve, and as CSV."""

import csv as lines_of_values
import io

from starlette.responses import JSONResponse, Response

from daemon.core.states import Job
from daemon.face.web.asking import Asked
from daemon.face.web.curves import VALUES
from daemon.face.web.finding import job_of, open_store

POINTS = 1000
_MOST_POINTS = 20_000
_MOST_STEPS = 1 << 53


def columns(asked: Asked) -> Response:
    """Return columns by name: at most `points` of them, behind step `after`. Raises NotThereError, OSError."""
    after = asked.number("after", 0, _MOST_STEPS, 0)
    points = asked.number("points", 2, _MOST_POINTS, POINTS)
    return JSONResponse(asked.site.curves.of(_job(asked).directory(asked.site.root.path), points, after).as_json())


def csv(asked: Asked) -> Response:
    """Return every step that counts, a line each. Raises NotThereError, OSError."""
    job = _job(asked)
    text = io.StringIO()
    writer = lines_of_values.writer(text)
    writer.writerow(["step", *VALUES])
    writer.writerows(asked.site.curves.rows_of(job.directory(asked.site.root.path)))
    headers = {"Content-Disposition": f'attachment; filename="job-{job.id}-steps.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _job(asked: Asked) -> Job:
    with open_store(asked) as store:
        return job_of(store, asked)
