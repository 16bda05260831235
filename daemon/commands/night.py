"""`glmd night`: one night in words, what needs somebody first."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from daemon.commands.lookup import root_of, settings_of
from daemon.commands.nights import date_in
from daemon.commands.own_parser import Parser
from daemon.commands.paragraphs import one_line, paragraphs, terminal_width
from daemon.commands.speaking import words_of
from daemon.commands.terminal.marks import painted, sign
from daemon.commands.terminal.streaming import json_lines, write
from daemon.commands.terminal.table import table
from daemon.core import night_hours
from daemon.core.night_hours import NightHours
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.face.cells import cells
from daemon.face.digest import Digest, OtherJob, RunDetails, digest, last_begun
from daemon.face.needs import Need
from daemon.face.nights import night_of
from daemon.face.words.reading import Words
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable
from handlers.units.byte_sizes import format_size
from handlers.units.durations import format_duration

FIRST = 1971
"""The year before which no clock of a computer was."""
NEEDS_YOU = 1
"""The exit code when something does."""
EXIT_CODES = "Exit codes: 0 nothing needs you, 1 something does, or glmd failed, 2 bad usage or bad input, 3 refused."


def night(words: Sequence[str]) -> None:
    """Show what happened in one night, and what needs you.

    If something needs you, the exit code is 1.
    """
    given, now = _parser().parse_args(words), datetime.now(UTC)
    if given.try_now is not None or given.dry_run is not None:
        _tonight(given)
        return
    root = root_of(given.root, given.config)
    hours, trouble = hours_of(root, given.config)
    asked = None if given.date is None else _begun(given.date, now)
    with ReadStore.open(Root(root).store) as store:
        found = digest(store, asked or last_begun(store, hours, now), hours, now)
    if given.json:
        write(json_lines(found.as_json()))
    else:
        write(night_lines(found, words_of(given.lang), trouble))
    if found.needs:
        sys.exit(NEEDS_YOU)


def _parser() -> Parser:
    parser = Parser(prog="glmd night", description=night.__doc__, epilog=EXIT_CODES, allow_abbrev=False)
    text = "The morning of the night, as 2026-11-28; default: the last night that has begun."
    parser.add_argument("date", nargs="?", metavar="DATE", help=text)
    parser.add_argument("--json", action="store_true", help="Print JSON; docs/cli.md lists its keys.")
    text = "Drop the YAML of this cycle now, filled in for this moment."
    parser.add_argument("--try", dest="try_now", metavar="CYCLE", help=text)
    text = "Show the YAML of this cycle, filled in for this moment, and the result of its check."
    parser.add_argument("--dry-run", metavar="CYCLE", help=text)
    parser.add_language_option()
    parser.add_common_options()
    return parser


def _tonight(given: argparse.Namespace) -> None:
    """Drop or show a cycle's YAML of this moment. Raises BadInputError."""
    from daemon.commands.tonight import show, try_now  # noqa: PLC0415 - the check is of these alone

    if given.date is not None or given.json or (given.try_now is not None and given.dry_run is not None):
        raise BadInputError("give --try CYCLE, or --dry-run CYCLE, and nothing else", Code.USAGE_OPTIONS)
    settings = settings_of(given.root, given.config)
    if given.try_now is not None:
        try_now(given.try_now, settings)
    else:
        show(given.dry_run, settings)


def _begun(text: str, now: datetime) -> date:
    """Return the night that `text` names. Raises BadInputError for one that has not begun, or never was."""
    night = date_in(text)
    if not night.year >= FIRST or night > night_of(now):
        raise BadInputError(f"{night}: that night has not begun, or is too long ago", Code.USAGE_OPTIONS)
    return night


def hours_of(root: Path, config: Path | None) -> tuple[NightHours, str]:
    """Return what a night is, and what there is to say of settings that cannot be read."""
    try:
        return NightHours.parse(settings_of(root, config).night), ""
    except (BadInputError, OSError) as error:
        usual = night_hours.DEFAULT
        return NightHours.parse(usual), f"the settings cannot be read, so a night is taken to be {usual}: {error}"


def night_lines(found: Digest, words: Words, trouble: str = "") -> Iterator[str]:
    """Yield the lines that tell of a night."""
    counts = [words.say("marks", mark, count=count) for mark, count in reversed(found.totals().items())]
    text = words.joined(*counts) or words.frame("no_run")
    day = words.say("days", str(found.night.isoweekday()))
    yield words.say("cli", "night", day=day, night=found.night, evening=found.evening, morning=found.morning, text=text)
    if trouble:
        yield from _paragraph(words.say("cli", "trouble"), trouble)
    yield from _needs(found.needs, words)
    yield from _runs(found.runs, words)
    yield from _others(found.others, words)
    yield from _sums(found, words)


def _needs(needs: Sequence[Need], words: Words) -> Iterator[str]:
    yield ""
    if not needs:
        yield words.frame("nothing")
        return
    yield words.say("labels", "needs_you")
    for need in needs:
        name = f"  {printable(need.what)}: {words.say('needs', need.kind)}"
        reason = need.reason if words.is_of_reasons else words.joined(words.title(need.code), need.reason)
        yield from _paragraph(f"{name}: ", reason) if reason else [name]
        yield from (f"    {printable(command)}" for command in need.commands)


def _runs(runs: Sequence[RunDetails], words: Words) -> Iterator[str]:
    if not runs:
        return
    yield ""
    yield from table(words.row("night"), (_run(details, words) for details in runs), paint=_paint)


def _paint(column: int, cell: str) -> str:
    return painted(cell[:1]) + cell[1:] if column == 0 else cell


def _run(details: RunDetails, words: Words) -> tuple[str, ...]:
    run = details.run
    result, job = run.result, run.job
    loss = result.final_loss if result is not None else None
    change = ""
    if details.change is not None and details.before is not None:
        change = words.say("cli", "change", change=details.change, job=details.before[0].id)
    return (
        f"{sign(run.mark)} {details.label or run.cycle}",
        f"{run.due.astimezone():%H:%M}",
        "" if details.started is None else f"{details.started.astimezone():%H:%M}",
        "" if details.seconds is None else format_duration(details.seconds),
        "" if loss is None else f"{loss:.4g}",
        change,
        "" if job is None or job.continues is None else str(job.continues),
        "" if run.is_promoted is None else words.say("cli", "moved" if run.is_promoted else "stays"),
        "" if result is None or result.bytes is None else format_size(result.bytes),
        one_line(run.reason) or (str(run.outcome) if run.outcome is not None and job is None else ""),
    )


def _others(others: Sequence[OtherJob], words: Words) -> Iterator[str]:
    if not others:
        return
    yield ""
    yield words.say("cli", "other_jobs")
    yield from table(words.row("others"), (_other(other, words) for other in others), right=frozenset({0, 3}))


def _other(other: OtherJob, words: Words) -> tuple[str, ...]:
    job, loss = other.job, other.result.final_loss if other.result is not None else None
    return (
        str(job.id),
        job.name,
        words.say("states", job.state),
        "" if loss is None else f"{loss:.4g}",
        one_line(job.reason),
    )


def _sums(found: Digest, words: Words) -> Iterator[str]:
    """Yield what all of them took and made."""
    results = [details.run.result for details in found.runs] + [other.result for other in found.others]
    seconds = [details.seconds for details in found.runs if details.seconds is not None]
    seconds += [other.result.seconds for other in found.others if other.result and other.result.seconds is not None]
    merged = [result.bytes for result in results if result is not None and result.bytes is not None]
    if seconds:
        yield ""
        made = words.say("cli", "merged", size=format_size(sum(merged))) if merged else ""
        ran = words.say("cli", "steps_ran", time=format_duration(sum(seconds)))
        yield words.say("cli", "in_all", text=words.joined(ran, made))


def _paragraph(name: str, text: str) -> Iterator[str]:
    first, *others = paragraphs(text, cells(name), terminal_width()) or [""]
    yield f"{name}{first}".rstrip()
    yield from others
