"""`glmd nights`: how the nightly cycles fared, a row for each and a mark for each night."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain

from daemon.commands.lookup import root_of
from daemon.commands.own_parser import Parser
from daemon.commands.paragraphs import paragraphs, terminal_width
from daemon.commands.speaking import words_of
from daemon.commands.terminal.marks import TO_COME, legend, painted, sign
from daemon.commands.terminal.streaming import json_lines, write
from daemon.commands.terminal.table import table
from daemon.core.notices import Notice
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.face.cells import cells
from daemon.face.nights import CycleNights, columns, night_of
from daemon.face.nights import nights as nights_since
from daemon.face.notices import notice_texts
from daemon.face.words.reading import Words
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.units.durations import format_duration

LAST = 14
"""Nights that are shown."""
MOST = 3660
_LOSSES = 3
"""Of the last runs, that are shown."""


def nights(words: Sequence[str]) -> None:
    """Show the results of the nightly cycles, one row for each.

    It works without the daemon.
    """
    given, now = _parser().parse_args(words), datetime.now(UTC)
    since, language = _since(given.since, given.last, now), words_of(given.lang)
    with ReadStore.open(Root(root_of(given.root, given.config)).store) as store:
        found, notices = list(nights_since(store, since, now)), store.notices()
    if given.json:
        write(json_lines(_document(found, since, notices)))
    else:
        write(chain(_table(found, columns(found, since, now), now, language), _noticed(notices, language)))


def _parser() -> Parser:
    parser = Parser(prog="glmd nights", description=nights.__doc__, allow_abbrev=False)
    span = parser.add_mutually_exclusive_group()
    span.add_argument("--since", metavar="DATE", help="Show the nights from this morning on, as 2026-11-28.")
    span.add_argument("--last", type=int, default=LAST, metavar="N", help=f"The last N nights; {LAST} by default.")
    parser.add_argument("--json", action="store_true", help="Print JSON; docs/cli.md lists its keys.")
    parser.add_language_option()
    parser.add_common_options()
    return parser


def date_in(text: str) -> date:
    """Return the date in `2026-11-28`. Raises BadInputError."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInputError(
            f"{text!r} is no date; write the night's morning, as 2026-11-28", Code.USAGE_OPTIONS
        ) from error


def _since(text: str | None, last: int, now: datetime) -> date:
    newest = night_of(now)
    if not 1 <= last <= MOST:
        raise BadInputError(f"--last {last}: give 1 to {MOST} nights", Code.USAGE_OPTIONS)
    since = newest - timedelta(days=last - 1) if text is None else date_in(text)
    if not newest - timedelta(days=MOST) <= since <= newest:
        text = f"--since {since}: give a day of the last {MOST}"
        raise BadInputError(text, Code.USAGE_OPTIONS)
    return since


def _document(found: Sequence[CycleNights], since: date, notices: Sequence[Notice]) -> Iterator[tuple[str, object]]:
    yield "since", since.isoformat()
    yield "cycles", (cycle.as_json() for cycle in found)
    yield "notices", [notice.as_json() for notice in notices]


def _noticed(notices: Sequence[Notice], words: Words) -> Iterator[str]:
    name = words.say("cli", "notice")
    for text in notice_texts(notices):
        first, *others = paragraphs(text, cells(name), terminal_width())
        yield f"{name}{first}"
        yield from others


def _table(found: Sequence[CycleNights], shown: Sequence[date], now: datetime, words: Words) -> Iterator[str]:
    if not found:
        yield words.say("cli", "no_nights")
        return
    yield words.say("cli", "nights_shown", first=shown[0], last=shown[-1])
    cycle, *others = words.row("nights")
    header = (cycle, " ".join(f"{night.day:2}" for night in shown), *others)
    rows = (_row(cycle, shown, now, words) for cycle in found)
    yield from table(header, rows, right=frozenset({2, 3}), paint=_paint)
    yield legend(words)


def _paint(column: int, cell: str) -> str:
    return painted(cell) if column == 1 else cell


def _row(cycle: CycleNights, shown: Sequence[date], now: datetime, words: Words) -> tuple[str, ...]:
    marks = {night: sign(mark) for night, mark in cycle.marks().items()}
    if cycle.next_due is not None:
        marks.setdefault(night_of(cycle.next_due), sign(TO_COME))
    rate = cycle.success_rate
    return (
        cycle.cycle,
        " ".join(f"{marks.get(night, ''):>2}" for night in shown),
        "" if rate is None else f"{rate:.0%}",
        str(cycle.streak),
        " ".join(f"{loss:.4g}" for loss in cycle.losses[-_LOSSES:]),
        _next(cycle.next_due, now, words),
    )


def _next(due: datetime | None, now: datetime, words: Words) -> str:
    if due is None:
        return ""
    until = format_duration((due - now).total_seconds())
    return words.say("cli", "next", day=_day(due.astimezone(), words), at=due.astimezone(), time=until)


def _day(moment: date, words: Words) -> str:
    return words.say("days", str(moment.isoweekday()))
