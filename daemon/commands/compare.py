"""`glmd compare`: the curves of several trainings on one scale, their ends, and where their configurations differ."""

from collections.abc import Iterator, Sequence

from daemon.commands.lookup import job_in, root_of
from daemon.commands.own_parser import Parser
from daemon.commands.terminal.streaming import json_lines, write
from daemon.commands.terminal.table import shows, table
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import Job
from daemon.face.comparison import Compared, DifferentKey, compared, different_keys
from daemon.face.curve import SIGN, curve
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.hidden_keys import NOTHING_HIDDEN
from handlers.printable import printable
from handlers.units.durations import format_duration

_HEIGHT = 4
_MOST = 12
"""Jobs that fit a screen."""


def compare(words: Sequence[str]) -> None:
    """Compare the trainings of several jobs."""
    given = _parser().parse_args(words)
    if not 2 <= len(given.jobs) <= _MOST:
        raise BadInputError(f"name two jobs or more, and at most {_MOST}, as in glmd compare 41 42", Code.USAGE_OPTIONS)
    place = Root(root_of(given.root, given.config_file))
    with ReadStore.open(place.store) as store:
        jobs = [job_in(store, word) for word in given.jobs]
    if given.json:
        write(json_lines(_document(jobs, place)))
    elif given.config:
        write(_configurations(jobs, different_keys(jobs, place.path, NOTHING_HIDDEN)))
    else:
        write(_trainings(compared(jobs, place.path)))


def _parser() -> Parser:
    parser = Parser(prog="glmd compare", description=compare.__doc__, allow_abbrev=False)
    parser.add_argument("jobs", nargs="+", metavar="JOB", help="A job, as 42, 0042 or 0042-NAME.")
    text = "Show the keys of the configurations that differ, instead of the curves."
    parser.add_argument("--config", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="Print JSON; docs/cli.md lists its keys.")
    parser.add_common_options(config="--config-file")
    return parser


def _document(jobs: Sequence[Job], place: Root) -> Iterator[tuple[str, object]]:
    yield "jobs", (of_job.as_json() for of_job in compared(jobs, place.path))
    rows = different_keys(jobs, place.path, NOTHING_HIDDEN)
    yield "config", ({"key": row.key, "values": list(row.values)} for row in rows)


def _trainings(found: Sequence[Compared]) -> Iterator[str]:
    yield from _curves(found)
    header = ("JOB", "NAME", "STATE", "STEPS", "FIRST", "LAST", "LOWEST", "SAMPLES/S", "TIME")
    yield from table(header, map(_row, found), right=frozenset({0, 3, 4, 5, 6, 7, 8}))


def _curves(found: Sequence[Compared]) -> Iterator[str]:
    """Yield a curve for each job, all on one scale."""
    points = {of_job.job: of_job.training.points() for of_job in found if of_job.training is not None}
    losses = [loss for curve_points in points.values() for _, loss in curve_points if abs(loss) < float("inf")]
    if not losses or not shows(SIGN):
        return
    last = max(curve_points[-1][0] for curve_points in points.values())
    for job, curve_points in points.items():
        yield f"{printable(job.label)}: loss by step"
        yield from curve(curve_points, across=(1, last), between=(min(losses), max(losses)), height=_HEIGHT)
        yield ""


def _row(of_job: Compared) -> tuple[str, ...]:
    job, training = of_job.job, of_job.training
    if training is None:
        return (str(job.id), job.name, str(job.state), "none", "", "", "", "", "")
    samples, seconds = training.samples_per_second, training.seconds
    return (
        *(str(job.id), job.name, str(job.state), f"{training.number}/{training.planned}"),
        *(f"{loss:.4g}" for loss in (training.first, training.last, training.lowest)),
        "" if samples is None else f"{samples:.4g}",
        "" if seconds is None else format_duration(seconds),
    )


def _configurations(jobs: Sequence[Job], rows: Sequence[DifferentKey]) -> Iterator[str]:
    if not rows:
        yield "the configurations are the same"
        return
    header = ("KEY", *(job.label for job in jobs))
    yield from table(header, ((row.key, *("-" if value is None else value for value in row.values)) for row in rows))
