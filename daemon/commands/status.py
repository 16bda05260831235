"""`glmd status`: all jobs as a table, or one job with its history."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.commands.lookup import job_in, root_of
from daemon.commands.own_parser import Parser
from daemon.commands.paragraphs import one_line, paragraphs, terminal_width
from daemon.commands.speaking import words_of
from daemon.commands.terminal.streaming import json_lines, write
from daemon.commands.terminal.table import Paint, colour, table
from daemon.commands.training_lines import training_lines
from daemon.core.presence import Presence
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.face.cells import cells
from daemon.face.notices import notice_texts
from daemon.face.status import Detail, JobStatus, Overview, detail, overview, overview_of_all, seconds_since
from daemon.face.verdict_lines import verdict_lines
from daemon.face.words.reading import Words
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable
from handlers.units.devices import format_devices
from handlers.units.durations import format_duration

if TYPE_CHECKING:
    from handlers.records.step_exit import StepExit

COLOURS = {
    State.PREPARING: "cyan",
    State.SUBMITTED: "cyan",
    State.TRAINING: "cyan",
    State.MERGING: "cyan",
    State.EVALUATING: "cyan",
    State.DONE: "green",
    State.FAILED: "red",
    State.REJECTED: "red",
    State.CANCELLED: "yellow",
}

_PRESENCE = {
    Presence.ANSWERS: "runs",
    Presence.BUSY: "busy",
    Presence.UNKNOWN: "not_asked",
    Presence.ABSENT: "does_not_run",
}


def status(words: Sequence[str]) -> None:
    """Show all jobs, or one in detail; works without the daemon."""
    given = _parser().parse_args(words)
    place, now = Root(root_of(given.root, given.config)), datetime.now(UTC)
    language = words_of(given.lang)
    if given.job is not None:
        with ReadStore.open(place.store) as store:
            found = detail(store, job_in(store, given.job), place.path)
        if given.svg is not None:
            _draw(found, given.svg)
            return
        write(json_lines(found.as_json().items()) if given.json else detail_lines(found, now, language))
        return
    if given.svg is not None:
        text = "--svg draws the curve of one job: name it, as in glmd status 42 --svg loss.svg"
        raise BadInputError(text, Code.USAGE_OPTIONS)
    shown = (overview_of_all if given.all else overview)(place.path, place.store)
    write(json_lines(shown.as_json()) if given.json else _overview(shown, now, language))


def _parser() -> Parser:
    parser = Parser(prog="glmd status", description=status.__doc__, allow_abbrev=False)
    parser.add_argument("job", nargs="?", metavar="JOB", help="A job, as 42, 0042 or 0042-NAME.")
    parser.add_argument("--json", action="store_true", help="Print JSON; docs/cli.md lists its keys.")
    parser.add_argument("--all", action="store_true", help="Show every job, also old ones and all that wait.")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="Only write the job's loss curve to FILE, as SVG.")
    parser.add_language_option()
    parser.add_common_options()
    return parser


def _draw(found: Detail, file: Path) -> None:
    from daemon.face.picture import svg  # noqa: PLC0415 - this and what follows are of one option
    from handlers.ckpt.files.durable import publish_bytes  # noqa: PLC0415 - as above

    label = found.status.job.label
    if found.training is None:
        raise BadInputError(f"{label}: no step is recorded, so there is no curve", Code.JOB_NO_STEPS)
    publish_bytes(file, svg(found.training.points(), f"{label}: loss").encode(), mode=0o644)


def _overview(found: Overview, now: datetime, words: Words) -> Iterator[str]:
    yield words.say("cli", _PRESENCE[found.daemon], root=printable(str(found.root)))
    if found.trouble:
        yield from _wrapped(words.say("cli", "trouble"), found.trouble)
    for text in notice_texts(found.notices):
        yield from _wrapped(words.say("cli", "notice"), text)
    yield words.say("cli", "held", devices=_held(found.held, words) or words.say("cli", "none"))
    places = {job: place for place, job in enumerate(found.queue, 1)}
    rows = (_row(status, places.get(status.job.id), found.waiting, now, words) for status in found.jobs)
    first = next(rows, None)
    if first is None and not found.unreadable:
        yield words.say("cli", "no_jobs")
        return
    header = words.row("status")
    yield from table(header, chain([first] if first else [], rows), right=frozenset({0}), paint=_painter(words))
    for what in found.unread:
        yield from _wrapped(words.say("cli", "trouble"), what)
    if (more := found.waiting - len(found.queue)) > 0:
        yield words.say("cli", "more_wait" if more > 1 else "one_more_waits", count=more)
    if found.left_out:
        yield words.say("cli", "older", count=found.left_out)


def _held(held: dict[int, int], words: Words) -> str:
    by_job: dict[int, list[int]] = {}
    for device, job in held.items():
        by_job.setdefault(job, []).append(device)
    parts = (words.say("cli", "by_job", devices=format_devices(held), job=job) for job, held in by_job.items())
    return words.joined(*parts)


def _row(status: JobStatus, place: int | None, waiting: int, now: datetime, words: Words) -> tuple[str, ...]:
    job = status.job
    progress = progress_text(status, words)
    if place is not None:
        progress = words.say("cli", "place", place=place, waiting=waiting)
    devices = format_devices(job.devices) if job.devices else job.shape
    since = format_duration(seconds_since(job.changed, now))
    return (str(job.id), job.name, words.say("states", job.state), devices, progress, since, one_line(_why(job, words)))


def _why(job: Job, words: Words) -> str:
    """Return why a job is where it is: where its reason is in another language, in some words first."""
    return job.reason if words.is_of_reasons else words.joined(words.title(job.code), job.reason)


def progress_text(status: JobStatus, words: Words) -> str:
    """Return how far the training is, in a few words; empty while it does not train."""
    if status.job.state is not State.TRAINING:
        return ""
    progress = status.progress
    if progress is None:
        return words.say("cli", "before_first_step")
    text = words.say("cli", "progress", epoch=progress.epoch, epochs=progress.epochs, loss=progress.loss)
    eta = progress.eta_seconds
    return text if eta is None else words.joined(text, words.say("cli", "left", time=format_duration(eta)))


def _painter(words: Words) -> Paint:
    colours = {words.say("states", state): name for state, name in COLOURS.items()}

    def paint(column: int, cell: str) -> str:
        name = colours.get(cell.strip()) if column == 2 else None
        return colour(cell, name) if name else cell

    return paint


def detail_lines(found: Detail, now: datetime, words: Words) -> list[str]:
    """Return the lines that tell of one job."""
    job = found.status.job
    word = words.say("states", job.state)
    state = colour(word, COLOURS[job.state]) if job.state in COLOURS else word
    facts = {
        "why": _why(job, words),
        "code": f"{job.code}: glmd explain {job.code}" if job.code else "",
        "progress": progress_text(found.status, words),
        "devices": format_devices(job.devices) if job.devices else job.shape or words.say("cli", "none"),
        **({} if found.slurm is None else found.slurm.facts()),
        "prefix": job.prefix,
        "continues": words.say("cli", "job", job=job.continues) if job.continues is not None else "",
        "attempt": str(job.attempt),
        "priority": str(job.priority),
    }
    since = format_duration(seconds_since(job.changed, now))
    lines = [words.say("cli", "state_for", label=printable(job.label), state=state, time=since)]
    lines += _pairs({words.say("facts", name): text for name, text in facts.items()})
    lines += training_lines(found, words)
    if gate := dict(verdict_lines(found.verdict)):
        lines += ["", words.say("cli", "gate"), *_pairs(gate)]
    lines += ["", words.say("cli", "history")]
    for step in found.history:
        word = words.say("states", step.state)
        word += " " * max(0, 10 - cells(word))
        lines += _wrapped(f"  {step.at.astimezone():%Y-%m-%d %H:%M:%S}  {word}  ", step.reason)
    if found.steps:
        lines += ["", words.say("cli", "ended")]
        for attempted in found.steps:
            lines += _step(attempted.attempt, attempted.exit, job, words)
    files = {words.say("facts", name): os.fspath(path) for name, path in found.paths.items()}
    return [*lines, "", words.say("cli", "files"), *_pairs(files)] if files else lines


def _step(attempt: int, ended: "StepExit", job: Job, words: Words) -> list[str]:
    took = format_duration((ended.ended - ended.started).total_seconds())
    outcome, step = words.say("outcomes", ended.outcome), words.say("steps", ended.step)
    text = words.say("cli", "step_ended", attempt=attempt, step=step, outcome=outcome, time=took)
    lines = [f"  {text}{f' [{ended.code}]' if ended.code else ''}"]
    if ended.reason:
        lines += _wrapped("    ", ended.reason)
    if (first := ended.first) is not None:
        who = str(first.role)
        if first.rank is not None:
            who = words.rank_at(words.frame("rank", rank=first.rank), first.device, first.node)
        how = words.say("cli", "exit_code", code=first.exit_code) if first.signal is None else first.signal
        at = first.ended.astimezone()
        lines += _wrapped("    ", words.say("cli", "first", who=who, how=how, at=at, line=first.line))
    rank, device = (None, None) if first is None else (first.rank, first.device)
    if advice := words.advice_of(ended.code, job=job.id, rank=rank, device=device):
        lines += _wrapped("    ", words.pair("cause", advice.cause)) + _wrapped(
            "    ", words.pair("to_do", advice.remedy)
        )
    return lines


def _pairs(facts: dict[str, str]) -> list[str]:
    shown = {name: text for name, text in facts.items() if text}
    width = max(map(cells, shown), default=0)
    return [line for name, text in shown.items() for line in _wrapped(f"  {name}{' ' * (width - cells(name))}  ", text)]


def _wrapped(name: str, text: str) -> list[str]:
    """Return `text` whole, behind `name`."""
    first, *others = paragraphs(text, cells(name), terminal_width()) or [""]
    return [f"{name}{first}".rstrip(), *others]
