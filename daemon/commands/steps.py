"""`glmd steps`: what was recorded of a job's training, step by step."""

import argparse
import time
from collections.abc import Iterator, Sequence

from daemon.commands.lookup import job_in, root_of
from daemon.commands.own_parser import Parser
from daemon.commands.terminal.streaming import json_lines, write, write_at_once
from daemon.commands.terminal.table import table
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import Job
from daemon.face.training import record_of, training_of
from handlers.codes import Code
from handlers.errors import BadInputError, RefusedError
from handlers.training_record.following import Follower
from handlers.training_record.rows import Row, as_json
from handlers.training_record.training import Training

_COLUMNS = ("attempt", "t", "n", "e", "s", "loss", "mean", "ms", "lr", "over", "scale", "norm", "sps", "tf")
"""Of CSV: of steps.jsonl, but `at`; and the losses apart."""
_APART = ("lm", "lb", "mtp")
_HEADER = ("STEP", "EPOCH", "LOSS", "MEAN", "LR", "S/STEP", "SAMPLES/S", "NORM", "SCALE", "OVERFLOW", "ATTEMPT")
_NARROWEST = 8
"""Cells of a column whose later rows are not known yet."""
POLL = 0.5
"""Seconds between two looks at a record that grows."""


def steps(words: Sequence[str]) -> None:
    """Show a training step by step, or rebuild its record."""
    given = _parser().parse_intermixed_args(words)
    place = Root(root_of(given.root, given.config))
    if given.words[0] == "rebuild":
        write(_rebuilt(given, place))
        return
    if given.all or len(given.words) > 1:
        raise BadInputError(
            "glmd steps shows one job; --all, and several, are for glmd steps rebuild", Code.USAGE_OPTIONS
        )
    with ReadStore.open(place.store) as store:
        job = job_in(store, given.words[0])
    if given.follow:
        write_at_once(_followed(job, place))
        return
    training = training_of(job.directory(place.path))
    if training is None:
        raise BadInputError(_nothing(job), Code.JOB_NO_STEPS)
    if given.json:
        write(json_lines(_document(job, training)))
    else:
        write(_csv(training) if given.csv else _table(training))


def _parser() -> Parser:
    usage = "glmd steps [--csv | --json | --follow] JOB\n       glmd steps rebuild (JOB ... | --all)"
    parser = Parser(prog="glmd steps", usage=usage, description=steps.__doc__, allow_abbrev=False)
    text = "A job, as 42, 0042 or 0042-NAME; with `rebuild` before it, glmd rebuilds its record from its logs."
    parser.add_argument("words", nargs="+", metavar="JOB", help=text)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="Comma-separated values, with the keys of docs/cli.md.")
    form.add_argument("--follow", "-f", action="store_true", help="Follow until the job ends.")
    form.add_argument("--json", action="store_true", help="Print JSON; docs/cli.md lists its keys.")
    parser.add_argument("--all", action="store_true", help="With rebuild: every job.")
    parser.add_common_options()
    return parser


def _nothing(job: Job) -> str:
    if not job.state.is_over:
        return f"job {job.id} is {job.state}, and has recorded no step yet"
    return (
        f"job {job.id} has no record of steps: it {job.state} before its first step, or is older than the records; "
        f"glmd steps rebuild {job.id} makes one from its logs"
    )


def _table(training: Training) -> Iterator[str]:
    return table(_HEADER, map(_row, training.rows), right=frozenset(range(len(_HEADER))))


def _followed(job: Job, place: Root) -> Iterator[str]:
    """Yield a line for each step as it is recorded, of whichever attempt, until the job is over."""
    yield _aligned(_HEADER)
    directory, followers = job.directory(place.path), dict[int, Follower]()
    while True:
        with ReadStore.open(place.store) as store:
            is_over = store.job(job.id).state.is_over  # before reading: what was recorded before the end is read then
        found = False
        for attempt in directory.attempts():
            follower = followers.setdefault(attempt, Follower(record_of(directory, attempt)))
            for row in follower.read():
                found = True
                yield _aligned(_row(row))
        if is_over and not found:
            return
        if not found:
            time.sleep(POLL)


def _aligned(cells: Sequence[str]) -> str:
    return "  ".join(f"{cell:>{max(_NARROWEST, len(name))}}" for name, cell in zip(_HEADER, cells, strict=True))


def _row(row: Row) -> tuple[str, ...]:
    step = row.step
    samples = None if step.samples is None else step.samples * row.header.devices
    seconds = None if step.milliseconds is None else step.milliseconds / 1000
    numbers = (step.loss, step.mean, step.learning_rate, seconds, samples, step.norm, step.loss_scale)
    shown = ("" if number is None else f"{number:.6g}" for number in numbers)
    overflow = "" if step.overflow is None else "yes" if step.overflow else "no"
    return (str(step.number), f"{step.epoch}/{step.epochs}", *shown, overflow, str(row.header.attempt))


def _csv(training: Training) -> Iterator[str]:
    yield ",".join((*_COLUMNS, *_APART))
    for row in training.rows:
        fields = as_json(row)
        yield ",".join(_field(fields.get(column)) for column in (*_COLUMNS, *_APART))


def _field(value: object) -> str:
    return "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def _document(job: Job, training: Training) -> Iterator[tuple[str, object]]:
    yield "job", job.id
    yield "name", job.name
    yield from training.as_json().items()
    yield "devices", training.rows[-1].header.devices
    yield "recorded", map(as_json, training.rows)


def _rebuilt(given: argparse.Namespace, place: Root) -> Iterator[str]:
    """Yield a line for each job whose record was made again."""
    from daemon.client.step_records import rebuild_records  # noqa: PLC0415 - of this alone

    wanted: list[str] = given.words[1:]
    if bool(wanted) == given.all:
        raise BadInputError("say which jobs: glmd steps rebuild JOB …, or --all", Code.USAGE_OPTIONS)
    with ReadStore.open(place.store) as store:
        jobs = [job_in(store, word) for word in wanted] or list(store.jobs())
    for job in jobs:
        try:
            attempts = dict(rebuild_records(job, place.path))
        except RefusedError as error:
            if wanted:
                raise
            yield f"{job.label}: left as it is: {error}"
            continue
        if not any(attempts.values()):
            if wanted:
                yield f"{job.label}: its logs show no step; nothing was changed"
            continue
        text = ", ".join(f"attempt {attempt}: {count} steps" for attempt, count in attempts.items())
        yield f"{job.label}: {text}"
