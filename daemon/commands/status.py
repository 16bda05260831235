"""`glmd status`: all jobs as a table, or one job with its history."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from daemon.commands.lookup import job_in, root_of
from daemon.commands.own_parser import Parser
from daemon.commands.paragraphs import paragraphs, terminal_width
from daemon.commands.terminal.streaming import json_lines, write
from daemon.commands.terminal.table import colour, table
from daemon.commands.training_lines import training_lines
from daemon.core.presence import Presence
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.notices import told
from daemon.face.status import Detail, JobStatus, Overview, detail, overview, overview_of_all, seconds_since
from daemon.face.verdict_lines import verdict_lines
from handlers.printable import printable
from handlers.units.devices import format_devices
from handlers.units.durations import format_duration

if TYPE_CHECKING:
    from handlers.records.step_exit import StepExit

COLOURS = {
    State.PREPARING: "cyan",
    State.TRAINING: "cyan",
    State.MERGING: "cyan",
    State.EVALUATING: "cyan",
    State.DONE: "green",
    State.FAILED: "red",
    State.REJECTED: "red",
    State.CANCELLED: "yellow",
}

_PRESENCE = {
    Presence.ANSWERS: "glmd runs at {root}",
    Presence.BUSY: "glmd is busy at {root}: it did not answer within a second; jobs go on",
    Presence.UNKNOWN: "whether glmd runs at {root} cannot be asked: {root}/glmd.sock is not open to you; "
    "are you in the group glm?",
    Presence.ABSENT: "glmd does not run at {root}: nothing moves on until it does",
}


def status(words: Sequence[str]) -> None:
    """Show all jobs, or one in detail; also with the daemon down."""
    given = _parser().parse_args(words)
    place, now = Root(root_of(given.root, given.config)), datetime.now(UTC)
    if given.job is not None:
        with ReadStore.open(place.store) as store:
            found = detail(store, job_in(store, given.job), place.path)
        write(json_lines(found.as_json().items()) if given.json else _detail(found, now))
        return
    shown = (overview_of_all if given.all else overview)(place.path, place.store)
    write(json_lines(shown.as_json()) if given.json else _overview(shown, now))


def _parser() -> Parser:
    parser = Parser(prog="glmd status", description=status.__doc__, allow_abbrev=False)
    parser.add_argument("job", nargs="?", metavar="JOB", help="As 42, 0042 or 0042-NAME.")
    parser.add_argument("--json", action="store_true", help="JSON for programs; docs/cli.md names its keys.")
    parser.add_argument("--all", action="store_true", help="Show every job: those long over, and all that wait.")
    parser.add_common_options()
    return parser


def _overview(found: Overview, now: datetime) -> Iterator[str]:
    yield _PRESENCE[found.daemon].format(root=printable(str(found.root)))
    if found.trouble:
        yield from _told("trouble: ", found.trouble)
    for text in told(found.notices):
        yield from _told("notice: ", text)
    yield f"devices held: {_held(found.held) or 'none'}"
    places = {job: place for place, job in enumerate(found.queue, 1)}
    rows = (_row(status, places.get(status.job.id), found.waiting, now) for status in found.jobs)
    first = next(rows, None)
    if first is None and not found.unreadable:
        yield "no jobs yet: glmd submit FILE, or put a YAML into the inbox"
        return
    header = ("JOB", "NAME", "STATE", "DEVICES", "PROGRESS", "SINCE", "WHY")
    yield from table(header, chain([first] if first else [], rows), right=frozenset({0}), paint=_paint)
    for what in found.unread:
        yield from _told("trouble: ", what)
    if (more := found.waiting - len(found.queue)) > 0:
        yield f"… and {more:,} more {'wait' if more > 1 else 'waits'}; --all shows them"
    if found.left_out:
        yield f"and {found.left_out:,} older that are over: --all shows them"


def _held(held: dict[int, int]) -> str:
    by_job: dict[int, list[int]] = {}
    for device, job in held.items():
        by_job.setdefault(job, []).append(device)
    return ", ".join(f"{format_devices(devices)} by job {job}" for job, devices in by_job.items())


def _row(status: JobStatus, place: int | None, waiting: int, now: datetime) -> tuple[str, ...]:
    job = status.job
    progress = progress_text(status)
    if place is not None:
        progress = f"{place} of {waiting} waiting"
    devices = format_devices(job.devices) if job.devices else ""
    since = format_duration(seconds_since(job.changed, now))
    return (str(job.id), job.name, str(job.state), devices, progress, since, job.reason)


def progress_text(status: JobStatus) -> str:
    """Return how far the training is, in a few words; empty while it does not train."""
    if status.job.state is not State.TRAINING:
        return ""
    progress = status.progress
    if progress is None:
        return "before its first step"
    text = f"{progress.epoch}/{progress.epochs} loss {progress.loss:.4g}"
    return text if progress.eta_seconds is None else f"{text}, {format_duration(progress.eta_seconds)} left"


def _paint(column: int, cell: str) -> str:
    word = cell.strip()
    return colour(cell, COLOURS[State(word)]) if column == 2 and word in COLOURS else cell


def _detail(found: Detail, now: datetime) -> list[str]:
    job = found.status.job
    state = colour(job.state, COLOURS[job.state]) if job.state in COLOURS else str(job.state)
    facts = {
        "why": job.reason,
        "code": f"{job.code}: glmd explain {job.code}" if job.code else "",
        "progress": progress_text(found.status),
        "devices": format_devices(job.devices) if job.devices else "none",
        "prefix": job.prefix,
        "continues": f"job {job.continues}" if job.continues is not None else "",
        "attempt": str(job.attempt),
        "priority": str(job.priority),
    }
    lines = [f"{printable(job.label)}: {state} for {format_duration(seconds_since(job.changed, now))}"]
    lines += _pairs(facts)
    lines += training_lines(found)
    if gate := dict(verdict_lines(found.verdict)):
        lines += ["", "gate", *_pairs(gate)]
    lines += ["", "history"]
    for step in found.history:
        lines += _told(f"  {step.at.astimezone():%Y-%m-%d %H:%M:%S}  {step.state:<10}  ", step.reason)
    if found.steps:
        lines += ["", "steps that ended"]
        for attempted in found.steps:
            lines += _step(attempted.attempt, attempted.exit)
    return [*lines, "", "files", *_pairs({name: os.fspath(path) for name, path in found.paths.items()})]


def _step(attempt: int, ended: "StepExit") -> list[str]:
    took = format_duration((ended.ended - ended.started).total_seconds())
    lines = [
        f"  attempt {attempt}, {ended.step}: {ended.outcome} after {took}{f' [{ended.code}]' if ended.code else ''}"
    ]
    if ended.reason:
        lines += _told("    ", ended.reason)
    if (first := ended.first) is not None:
        who = f"rank {first.rank} on device {first.device}" if first.rank is not None else str(first.role)
        how = f"exit code {first.exit_code}" if first.signal is None else first.signal
        told = f"first to fail: {who}, {how}, {first.ended.astimezone():%H:%M:%S}: {first.line}"
        lines += _told("    ", told)
    return lines


def _pairs(facts: dict[str, str]) -> list[str]:
    shown = {name: text for name, text in facts.items() if text}
    width = max(map(len, shown), default=0)
    return [line for name, text in shown.items() for line in _told(f"  {name:<{width}}  ", text)]


def _told(name: str, text: str) -> list[str]:
    """Return `text` whole, behind `name`."""
    first, *others = paragraphs(text, len(name), terminal_width()) or [""]
    return [f"{name}{first}".rstrip(), *others]
