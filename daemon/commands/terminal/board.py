"""Stages of something long: those that are over as lines, the present one as a moving bar where there is a terminal."""

import sys
import time
from typing import TYPE_CHECKING, Self

from daemon.commands.terminal.table import colour
from handlers.printable import printable
from handlers.units.durations import format_duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Board:
    """Tells stage after stage on standard output: what is being done, and when it is done how long it took."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._since = 0.0
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415 - terminals only

            text = TextColumn("{task.description}", markup=False)
            self._bar = Progress(SpinnerColumn(), text, BarColumn(bar_width=30), transient=True)
            self._bar.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, text: str) -> None:
        """Begin a stage; one that was not ended is dropped."""
        self._since = self._shown_at = time.monotonic()
        if self._bar is None:
            print(f"...   {printable(text)}", flush=True)  # noqa: T201 - this is the output
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(printable(text), total=None)

    def advance(self, text: str, done: int, total: int, *, every: float = 10.0) -> None:
        """Say how far the present stage is; without a terminal at most once in `every` seconds."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=printable(text), completed=done, total=total)
        elif self._bar is None and time.monotonic() - self._shown_at >= every:
            self._shown_at = time.monotonic()
            print(f"      {printable(text)}", flush=True)  # noqa: T201 - this is the output

    def end(self, text: str) -> None:
        """End the present stage with what came of it."""
        now = time.monotonic()
        took, self._since = format_duration(now - self._since), now
        if self._bar is None:
            print(f"ok    {printable(text)} ({took})", flush=True)  # noqa: T201 - this is the output
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._bar.console.print(f"{colour('ok', 'green')}    {printable(text)} ({took})", markup=False, highlight=False)
