"""`glmd promote`, `rollback` and `promotions`: what `latest/PREFIX` leads to, has led to, and is to lead to."""

from collections.abc import Sequence
from typing import Annotated

import typer

from daemon.commands.arguments import ConfigOption, JobArgument, JsonOption, RootOption, job_in, root_of
from daemon.commands.terminal.table import table
from daemon.core.control import Request, ask_for
from daemon.core.promotions import Promotion
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from handlers.printable import printable, to_json

ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="The reason; glmd records it with your name.")
]


def promote(
    job: JobArgument,
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Promote it even if it did not pass the gate, or a newer training is promoted."),
    ] = False,
    reason: ReasonOption = "",
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Let latest/PREFIX lead to the merged output of a job.

    Later trainings start from it.
    """
    place = Root(root_of(root, config))
    with ReadStore.open(place.store) as store:
        number = job_in(store, job).id
    typer.echo(printable(ask_for(place.path, Request("promote", number, reason=reason, force=force))))


def rollback(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="As in latest/PREFIX.", show_default=False)],
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="JOB", help="The job to go back to; default: the one promoted before.")
    ] = None,
    reason: ReasonOption = "",
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Let latest/PREFIX lead to an output promoted before.

    glmd does not promote the later ones again by itself.
    """
    place = Root(root_of(root, config))
    number = None
    if to is not None:
        with ReadStore.open(place.store) as store:
            number = job_in(store, to).id
    typer.echo(printable(ask_for(place.path, Request("rollback", number, prefix=prefix, reason=reason))))


def promotions(
    prefix: Annotated[
        str | None, typer.Argument(metavar="[PREFIX]", help="By default all.", show_default=False)
    ] = None,
    *,
    json: JsonOption = False,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """List the promotions of each latest/PREFIX, newest last.

    It works without the daemon.
    """
    with ReadStore.open(Root(root_of(root, config)).store) as store:
        found = store.promotions(prefix)
    newest = {one.prefix: one.id for one in found}
    if json:
        typer.echo(to_json({"promotions": [one.as_json(is_latest=newest[one.prefix] == one.id) for one in found]}))
        return
    if not found:
        typer.echo("nothing was ever promoted" + (f" as latest/{printable(prefix)}" if prefix else ""))
        return
    rows = (_row(one, newest) for one in found)
    for line in table(("WHEN", "PREFIX", "WHAT", "OUTPUT", "CYCLE", "BY", "WHY"), rows):
        typer.echo(line)


def _row(one: Promotion, newest: dict[str, int]) -> Sequence[str]:
    what = f"{one.kind}, taken back" if one.undone is not None else str(one.kind)
    if newest[one.prefix] == one.id:
        what += ", is latest" if one.target else ", leads nowhere"
    return f"{one.at.astimezone():%Y-%m-%d %H:%M}", one.prefix, what, one.name, one.cycle, one.by or "glmd", one.reason
