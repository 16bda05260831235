"""`glmd merge`: the seed script's command line, in one pass and without the 63 GB in between."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import structlog
import typer

from daemon.commands.table import printable, size
from handlers import events
from handlers.errors import BadInputError
from handlers.job_plan import MergePlan
from handlers.merge import run

EVENT_EVERY = 5.0
"""Seconds between two progress events where there is no terminal."""


class Format(StrEnum):
    """The output's file format."""

    CKPT = "ckpt"


def merge(  # noqa: PLR0913 - options of a command
    *,
    src_checkpoints_dir: Annotated[
        Path,
        typer.Option(
            "--src_checkpoints_dir",
            "--src-checkpoints-dir",
            metavar="DIR",
            help="The run's output: holds checkpoint/rank_N/.",
            show_default=False,
        ),
    ],
    dst_checkpoints_dir: Annotated[
        Path,
        typer.Option(
            "--dst_checkpoints_dir",
            "--dst-checkpoints-dir",
            metavar="DIR",
            show_default=False,
            help="Gets filtered_transformed.ckpt and manifest.json.",
        ),
    ],
    src_postfix: Annotated[
        str, typer.Option("--src_postfix", "--src-postfix", metavar="TAG", help="EPOCH_STEP, as 31_4; or last.")
    ] = "last",
    src_strategy_file: Annotated[
        Path | None,
        typer.Option(
            "--src_strategy_file",
            "--src-strategy-file",
            metavar="PATH",
            show_default=False,
            help="One of the run's strategy files, or their directory; if not given, strategy/ in its output.",
        ),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="The output's format.")] = Format.CKPT,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The shards' prefix, as glm-6b; if not given, the only one there is."),
    ] = None,
    ranks: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="How many ranks there must be; if not given, what the strategy files say."
        ),
    ] = None,
    data_parallel: Annotated[
        bool, typer.Option("--data-parallel", help="The run wrote no strategy files: every rank holds the whole model.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that is there already.")] = False,
) -> None:
    """Merge a run's shards into one filtered checkpoint."""
    del format_  # one there is so far
    if not src_checkpoints_dir.is_dir():
        raise BadInputError(f"--src_checkpoints_dir: {src_checkpoints_dir} is not a directory")
    if data_parallel and src_strategy_file:
        raise BadInputError(
            "--data-parallel is for runs without strategy files; leave out one of it and --src_strategy_file"
        )
    plan = MergePlan(
        source=src_checkpoints_dir.absolute(),
        strategy=src_strategy_file.absolute() if src_strategy_file else None,
        needs_strategy=not data_parallel,
        ranks=ranks,
        prefix=prefix,
        tag=src_postfix,
        destination=dst_checkpoints_dir.absolute(),
        force=force,
    )
    with _progress() as progress:
        done = run(plan, progress)
    speed = f", {done.bytes / done.seconds / 1e9:.2f} GB/s" if done.seconds > 0 else ""
    typer.echo(
        f"merged {done.prefix} {done.tag} of {done.ranks} ranks: {done.entries_in} entries in, {done.entries_kept} "
        f"kept, {size(done.bytes)} in {done.seconds:.1f} s{speed}"
    )
    for output in done.outputs:
        typer.echo(printable(str(output)))


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Yield what shows the progress: a bar on a terminal, else log events on standard error."""
    if not sys.stderr.isatty():
        events.configure(level="info")
        yield _progress_events()
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal to draw on
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415

    events.configure(level="warning")
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Progress("merging", *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("merging", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _progress_events() -> Callable[[int, int], None]:
    log = structlog.get_logger()
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVENT_EVERY:
            last = now
            log.info("merge_progress", done=done, total=total)

    return progress
