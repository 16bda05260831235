"""Several jobs beside each other: their curves on one scale, what they came to, and where their settings differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from daemon.core.results import Result
from daemon.core.states import Job
from daemon.face.comparison import Compared, DifferentKey, compared, different_keys
from daemon.face.picture import svg_of_several
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.finding import open_store
from daemon.face.web.job_rows import SIGNS
from handlers.errors import HandlerError
from handlers.units.durations import format_duration

MOST = 12
_POINTS = 400
"""Of each curve."""
_ROWS = 1_000
"""Of all trainings, for their figures."""
_KEYS = 200
_LONGEST = 300
"""Characters of a value."""


@dataclass(frozen=True)
class Column:
    """A job."""

    job: Job
    sign: str
    state: str
    steps: str
    """Its address for programs."""
    figures: tuple[str, ...]
    """In the order of the page's names for them; empty for what nobody knows."""


@dataclass(frozen=True)
class ComparePage:
    """What the page shows."""

    columns: tuple[Column, ...]
    names: tuple[str, ...]
    """Of the figures."""
    picture: str
    has_curves: bool
    keys: tuple[DifferentKey, ...]
    more_keys: int
    not_compared: str
    """Why the settings cannot be compared; empty where they were."""


def compare(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    jobs, results = chosen(asked)
    title = asked.words.say("compare", "title")
    if len(jobs) < 2:
        return Page("compare.html", title, None, tab="jobs")
    trainings = compared(jobs, asked.site.root.path, _ROWS // len(jobs))
    keys, not_compared = _keys(jobs, asked)
    content = ComparePage(
        columns=tuple(_column(of_job, results.get(of_job.job.id), asked) for of_job in trainings),
        names=tuple(asked.words.say("compare", name) for name in _FIGURES),
        picture=asked.url("/compare.svg", jobs=",".join(str(job.id) for job in jobs)),
        has_curves=any(of_job.training is not None for of_job in trainings),
        keys=keys[:_KEYS],
        more_keys=max(0, len(keys) - _KEYS),
        not_compared=not_compared,
    )
    scripts = ("uPlot.iife.min.js", "compare.js") if content.has_curves else ()
    return Page("compare.html", title, content, tab="jobs", scripts=scripts)


def as_json(asked: Asked) -> dict[str, object]:
    """Return the keys of `glmd compare --json`. Raises NotThereError, StoreError, OSError."""
    jobs, _ = chosen(asked)
    if len(jobs) < 2:
        raise NotThereError(asked.words.say("compare", "which", most=MOST))
    root = asked.site.root.path
    trainings = [of_job.as_json() for of_job in compared(jobs, root, _ROWS // len(jobs))]
    keys, not_compared = _keys(jobs, asked)
    config = [{"key": row.key, "values": list(row.values)} for row in keys[:_KEYS]]
    return {"jobs": trainings, "config": config, "left_out": max(0, len(keys) - _KEYS), "told": not_compared}


def picture(asked: Asked) -> Response:
    """Return the curves of their losses as SVG. Raises NotThereError, StoreError, OSError."""
    jobs, _ = chosen(asked)
    curves = []
    for place, job in enumerate(jobs):
        found = asked.site.curves.of(job.directory(asked.site.root.path), _POINTS)
        points = zip(found.number, found.values["loss"], strict=True)
        curves.append((f"s{place}", [(float(number), loss) for number, loss in points if loss is not None]))
    title = f"{asked.say('loss')}: {', '.join(str(job.id) for job in jobs)}"
    return Response(svg_of_several(curves, title), media_type="image/svg+xml")


def chosen(asked: Asked) -> tuple[list[Job], dict[int, Result]]:
    """Return the jobs that the address names, in its order, and what they came to. Raises NotThereError."""
    texts = [text.strip() for text in asked.query.get("jobs", "").split(",") if text.strip()]
    if len(texts) > 2 * MOST or not all(text.isascii() and text.isdecimal() and len(text) < 16 for text in texts):
        raise NotThereError(asked.words.say("compare", "which", most=MOST))
    numbers = list(dict.fromkeys(int(text) for text in texts))
    if len(numbers) > MOST:
        raise NotThereError(asked.words.say("compare", "which", most=MOST))
    with open_store(asked) as store:
        found = store.readable_among(numbers)
        if missing := [number for number in numbers if number not in found]:
            raise NotThereError(asked.say("no_job", job=missing[0]))
        return [found[number] for number in numbers], store.results(numbers)


_FIGURES = ("steps", "final_loss", "lowest_loss", "samples", "overflow", "took")


def _column(of_job: Compared, result: Result | None, asked: Asked) -> Column:
    job = of_job.job
    steps = asked.url(f"/api/v1/jobs/{job.id}/steps", points=_POINTS)
    return Column(job, SIGNS[job.state], asked.words.say("states", job.state), steps, _figures(of_job, result))


def _figures(of_job: Compared, result: Result | None) -> tuple[str, ...]:
    """Return what `_FIGURES` names; what is kept of a job that is over is exact, the rest of a glance at its record."""
    training, kept = of_job.training, result or Result()
    seconds = kept.seconds if kept.seconds is not None else training.seconds if training else None
    took = "" if seconds is None else format_duration(seconds)
    if training is None:
        return "", _number(kept.final_loss), _number(kept.best_loss), "", "", took
    return (
        f"{training.number}/{training.planned}",
        _number(kept.final_loss if kept.final_loss is not None else training.final()),
        _number(kept.best_loss if kept.best_loss is not None else training.lowest),
        _number(training.samples_per_second),
        f"{training.overflows / len(training.rows):.1%}",
        took,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _keys(jobs: Sequence[Job], asked: Asked) -> tuple[tuple[DifferentKey, ...], str]:
    """Return the keys that differ, and why they cannot be told."""
    try:
        found = different_keys(jobs, asked.site.root.path, asked.site.hidden)
    except FileNotFoundError as error:
        return (), asked.words.say("compare", "no_config", path=error.filename)
    except HandlerError as error:
        return (), str(error)
    return tuple(_shortened(key) for key in found), ""


def _shortened(key: DifferentKey) -> DifferentKey:
    return DifferentKey(key.key, tuple(None if value is None else _cut(value) for value in key.values))


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
