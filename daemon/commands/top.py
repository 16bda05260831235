"""`glmd top`: devices, what runs with its curve and ranks, what waits, and what ended last, on a full screen."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.commands.lookup import root_of
from daemon.commands.night import hours_of, night_lines
from daemon.commands.own_parser import Parser
from daemon.commands.speaking import words_of
from daemon.commands.status import detail_lines
from daemon.commands.terminal.keys import DOWN, ENTER, ESCAPE, UP, Keys
from daemon.commands.terminal.streaming import write
from daemon.commands.top_lines import Shown, lines, look
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.face.digest import digest, last_begun
from daemon.face.status import detail
from handlers.codes import Code
from handlers.errors import BadInputError, HandlerError
from handlers.printable import printable
from handlers.rank_log.tail import tail

if TYPE_CHECKING:
    from rich.live import Live

LOOK_EVERY = 1.0
"""Seconds."""
HELP = (
    "up, down, k, j   choose a job",
    "enter            show its details",
    "l                show the output of its last rank",
    "n                the night",
    "?                this",
    "q                quit, or go back",
)
_FOOT = "enter job  l log  n night  ? keys  q end"


class View(Enum):
    """What fills the screen."""

    ALL = auto()
    JOB = auto()
    LOG = auto()
    NIGHT = auto()
    HELP = auto()


_MOVES = {UP: -1, "k": -1, DOWN: 1, "j": 1}
_KEYS = {ENTER: View.JOB, "l": View.LOG, "n": View.NIGHT, "?": View.HELP}


@dataclass(frozen=True)
class Screen:
    """What is shown, and which job is chosen."""

    view: View = View.ALL
    chosen: int | None = None


def top(words: Sequence[str]) -> None:
    """Show running, waiting and ended jobs, again every second.

    It works without the daemon.
    """
    given = _parser().parse_args(words)
    root = Root(root_of(given.root, given.config))
    if given.once:
        write(lines(look(root), None, datetime.now(UTC), *_size()))
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInputError("glmd top needs a terminal; in scripts use glmd top --once", Code.USAGE_OPTIONS)
    from rich.live import Live  # noqa: PLC0415 - of the full screen alone

    with Keys.reading() as keys, Live(screen=True, auto_refresh=False) as live:
        _run(root, given.config, keys, live)


def _parser() -> Parser:
    parser = Parser(prog="glmd top", description=top.__doc__, allow_abbrev=False)
    parser.add_argument("--once", action="store_true", help="Print it once, for scripts.")
    parser.add_common_options()
    return parser


def _run(root: Root, config: Path | None, keys: Keys, live: "Live") -> None:
    from rich.text import Text  # noqa: PLC0415 - as above

    screen: Screen | None = Screen()
    while screen is not None:
        try:
            shown = look(root)
            screen = _with_choice(screen, shown)
            content = list(_VIEWS[screen.view](screen, shown, root, config))
        except (HandlerError, OSError) as error:
            content, shown = [printable(str(error)), "", "q end"], Shown.nothing()
        height = _size()[1]
        live.update(Text.from_ansi("\n".join(content[:height]), no_wrap=True, overflow="ellipsis"), refresh=True)
        screen = after(keys.next(LOOK_EVERY), screen, shown.jobs)


def _with_choice(screen: Screen, shown: Shown) -> Screen:
    if screen.view is View.ALL and screen.chosen not in shown.jobs:
        return replace(screen, chosen=shown.jobs[0] if shown.jobs else None)
    return screen


def after(key: str, screen: Screen, jobs: Sequence[int]) -> Screen | None:
    """Return what is to be shown after a key; None for the end."""
    if screen.view is not View.ALL:
        return replace(screen, view=View.ALL) if key in {"q", ESCAPE, ENTER} else screen
    if key == "q":
        return None
    if key in _MOVES and jobs:
        place = jobs.index(screen.chosen) if screen.chosen in jobs else 0
        return replace(screen, chosen=jobs[max(0, min(len(jobs) - 1, place + _MOVES[key]))])
    view = _KEYS.get(key, View.ALL)
    return screen if view in {View.JOB, View.LOG} and screen.chosen is None else replace(screen, view=view)


def _all(screen: Screen, shown: Shown, root: Root, config: Path | None) -> Iterator[str]:
    del root, config
    width, height = _size()
    content = list(lines(shown, screen.chosen, datetime.now(UTC), width, height - 2))
    yield from content
    yield from [""] * (height - 1 - len(content))
    yield _FOOT


def _job(screen: Screen, shown: Shown, root: Root, config: Path | None) -> Iterator[str]:
    del shown, config
    with ReadStore.open(root.store) as store:
        job = store.readable(screen.chosen or 0)
        found = None if job is None else detail(store, job, root.path)
    yield from ["it is gone"] if found is None else detail_lines(found, datetime.now(UTC), words_of(None))


def _log(screen: Screen, shown: Shown, root: Root, config: Path | None) -> Iterator[str]:
    del shown, config
    with ReadStore.open(root.store) as store:
        job = store.readable(screen.chosen or 0)
    if job is None or not job.ranks:
        yield "it has no ranks"
        return
    log = job.directory(root.path).rank_log(job.ranks[-1])
    height = _size()[1] - 2
    yield f"{printable(str(log))}   q back"
    yield from [line for line in tail(log) if line.strip()][-height:]


def _night(screen: Screen, shown: Shown, root: Root, config: Path | None) -> Iterator[str]:
    del screen, shown
    hours, trouble = hours_of(root.path, config)
    now = datetime.now(UTC)
    with ReadStore.open(root.store) as store:
        found = digest(store, last_begun(store, hours, now), hours, now)
    yield from night_lines(found, words_of(None), trouble)


def _help(screen: Screen, shown: Shown, root: Root, config: Path | None) -> Iterator[str]:
    del screen, shown, root, config
    yield from HELP


_VIEWS: Mapping[View, Callable[[Screen, Shown, Root, Path | None], Iterator[str]]] = {
    View.ALL: _all,
    View.JOB: _job,
    View.LOG: _log,
    View.NIGHT: _night,
    View.HELP: _help,
}


def _size() -> tuple[int, int]:
    size = shutil.get_terminal_size()
    return size.columns, size.lines
