"""`glmd submit`: the daemon's own checks, then an atomic drop, and on wish the wait for the job's end."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.client import submission
from daemon.commands.arguments import ConfigOption, RootOption, settings_of
from daemon.commands.check import checked_file
from daemon.commands.paragraphs import paragraphs
from daemon.commands.speaking import words_of
from daemon.commands.status import progress_text
from daemon.commands.terminal.live_line import LiveLine
from daemon.core.presence import Presence, presence
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.status import JobStatus
from handlers.printable import printable

PATIENCE = 10.0
"""Seconds beyond the settle time in which a running daemon takes a file, unless it is very busy."""

AGAIN = 1.0
"""Seconds after which a daemon that has not taken it yet is asked again whether it is there."""


def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A MindFormers YAML.", show_default=False)],
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the job ends; its result gives the exit code.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of the job; default: that of FILE.")
    ] = None,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Check a YAML, then drop it into the inbox."""
    settings = settings_of(root, config)
    place = Root(settings.root)
    content, _ = checked_file(file, settings)
    dropped = submission.drop(content, f"{name}.yaml" if name else file.name, place)
    typer.echo(printable(f"dropped: {dropped.path}"))
    place.refuse_elsewhere()  # the file is taken anyway; which job it becomes is known there
    if presence(place.path) is Presence.ABSENT:
        typer.echo(printable(f"glmd does not run at {place.path}: glmd takes the file when it starts"), err=True)
        raise typer.Exit(1 if wait else 0)
    found = submission.wait_for_job(dropped, place, settings.inbox.settle + PATIENCE)
    if found is None:
        typer.echo("not taken yet; glmd status shows it when it is", err=True)
    while found is None and wait and presence(place.path) in {Presence.ANSWERS, Presence.BUSY}:  # it has much to do
        found = submission.wait_for_job(dropped, place, AGAIN)
    if found is None:
        raise typer.Exit(1 if wait else 0)
    if found.job.state is State.REJECTED:
        _tell_end(found)
    typer.echo(printable(f"job {found.job.id}: {found.directory}"))
    if wait:
        _wait(found, place)


def _wait(found: JobStatus, place: Root) -> None:
    line = LiveLine()
    try:
        end = submission.follow(
            found.job.id,
            place,
            lambda status: line.show(f"job {status.job.id} {status.job.state}", progress_text(status, words_of(None))),
        )
    except KeyboardInterrupt:
        line.clear()
        typer.echo(f"the job goes on; to end it: glmd cancel {found.job.id}", err=True)
        raise
    line.clear()
    _tell_end(end)


def _tell_end(end: JobStatus) -> None:
    job = end.job
    if job.state is State.DONE:
        typer.echo(printable(f"job {job.id} is done: {end.directory / 'merged'}"))
    else:
        reason = job.reason or f"glmd status {job.id} says more"
        typer.echo(f"job {job.id} {job.state}: " + "\n".join(paragraphs(reason, indent=0)), err=True)
    raise typer.Exit(submission.exit_code_of(job.state))
