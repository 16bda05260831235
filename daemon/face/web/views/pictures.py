"""Curves as pictures, where people would rather look than at numbers."""

from collections.abc import Sequence

from starlette.responses import Response

from daemon.face.picture import WIDTH, svg
from daemon.face.web.asking import Asked
from daemon.face.web.finding import job_of, open_store

_POINTS = 600
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""Its colours stand in it, and nothing in it runs."""


def loss(asked: Asked) -> Response:
    """Return the curve of a job's loss as SVG. Raises NotThereError, StoreError, OSError."""
    with open_store(asked) as store:
        job = job_of(store, asked)
    found = asked.site.curves.of(job.directory(asked.site.root.path), _POINTS)
    title = asked.site.hidden.in_lines(f"{job.label}: {asked.say('loss')}")
    width = asked.number("width", 240, 2 * WIDTH, WIDTH)
    drawn = svg(_points(found.number, found.values["loss"]), title, _points(found.number, found.vain), width)
    return Response(drawn, headers={"Content-Security-Policy": _POLICY}, media_type="image/svg+xml")


def _points(numbers: Sequence[int], values: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(float(number), value) for number, value in zip(numbers, values, strict=True) if value is not None]
