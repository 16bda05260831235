"""How far long work is: a bar on a terminal, else log events; both on standard error.

Nothing here is imported later than at the start, for what is imported halfway looks like memory that grows with the
checkpoint; and neither rich nor structlog at all, for each takes longer to import than a small run to merge.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from daemon.commands.terminal.live_line import LiveLine
from handlers.printable import printable, to_json
from handlers.units.byte_sizes import format_size

EVENT_EVERY = 5.0
"""Seconds between two events."""
DRAW_EVERY = 0.1
"""Seconds between two states of the bar."""
BAR = 24
"""Cells."""

Progress = Callable[[int, int], None]
"""Gets how much is done, and of how much."""


def report(event: str, **fields: object) -> None:
    """Write a log event where no terminal is: one JSON object a line, with the keys that all events of glmd have."""
    if not sys.stderr.isatty():
        _write_event(event, "info", fields)


def warn(event: str, reason: str, fields: Mapping[str, object]) -> None:
    """Say `reason` on a terminal; elsewhere write a log event, as `report` does."""
    if sys.stderr.isatty():
        _write_line(f"warning: {printable(reason)}")
    else:
        _write_event(event, "warning", {**fields, "reason": reason})


def _write_event(event: str, level: str, fields: Mapping[str, object]) -> None:
    plain = {key: printable(value) if isinstance(value, str) else value for key, value in fields.items()}
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    _write_line(to_json(plain | {"event": event, "level": level, "timestamp": now}, indent=None))


def _write_line(line: str) -> None:
    with contextlib.suppress(OSError):  # a closed pipe or a full disk must not end the work
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def progress(event: str, doing: str, *, unit: Callable[[float], str] = format_size) -> Iterator[Progress]:
    """Yield what shows the progress: a bar named `doing`, or events; `unit` writes a quantity."""
    if sys.stderr.isatty():
        line = LiveLine()
        try:
            yield _paced(DRAW_EVERY, lambda done, total, seconds: line.show(doing, bar(done, total, seconds, unit)))
        finally:
            line.clear()
    else:
        yield _paced(EVENT_EVERY, lambda done, total, _: report(event, done=done, total=total))


def _paced(every: float, show: Callable[[int, int, float], None]) -> Progress:
    """Return a Progress that calls `show` at most once in `every` seconds, with the seconds since the start."""
    started = last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every:
            last = now
            show(done, total, now - started)

    return progress


def bar(done: int, total: int, seconds: float, unit: Callable[[float], str] = format_size) -> str:
    """Draw how much is done, how fast, and how long the rest takes at that speed."""
    part = min(1.0, done / total) if total else 1.0
    full = round(part * BAR)
    drawn = f"{'━' * full}{'─' * (BAR - full)} {part:4.0%}  {unit(done)} of {unit(total)}"
    if done <= 0 or seconds <= 0:
        return drawn
    return f"{drawn}  {unit(done / seconds)}/s  {max(0.0, total - done) * seconds / done:.0f} s left"
