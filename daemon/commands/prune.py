"""`glmd prune`: removes what retention does not keep, or shows it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from daemon.commands.arguments import ConfigOption, JsonOption, RootOption, root_of, settings_of
from daemon.commands.terminal.table import table
from daemon.core.control import Request, ask_for
from daemon.core.retention import Item, Plan, plan
from daemon.core.root import Root
from handlers.printable import printable, to_json
from handlers.units.byte_sizes import format_size

PATIENCE = 600.0
"""Seconds until the daemon has looked at all jobs: their directories may be many, and the disk busy."""


def prune(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")] = False,
    json_: JsonOption = False,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Let the daemon remove files that `retention:` does not keep.

    Also those of jobs that people dropped.
    """
    if not dry_run:
        answer = ask_for(root_of(root, config), Request("prune"), timeout=PATIENCE)
        typer.echo(to_json({"answer": answer}) if json_ else printable(answer))
        return
    settings = settings_of(root, config)
    found = plan(Root(settings.root), settings, datetime.now(UTC), is_asked=True)
    if json_:
        parts = [item.as_json() for item in found.items]
        typer.echo(to_json({"bytes": found.bytes, "parts": parts}))
        return
    for line in lines(found):
        typer.echo(line)


def lines(found: Plan) -> Iterator[str]:
    """Yield what would go as a table, its sum, and what is kept in doubt."""
    if found.going:
        rows = (_row(item) for item in found.going)
        yield from table(("JOB", "NAME", "PART", "SIZE", "GLMD", "WHY"), rows, right=frozenset({0, 3}))
    yield found.summary("would be removed")
    for item in found.items:
        if item.is_doubt:
            yield printable(f"kept, because glmd is not sure: {item.part} of job {item.job.id}: {item.why}")


def _row(item: Item) -> tuple[str, ...]:
    who = "by itself" if item.is_automatic else "when asked"
    return (str(item.job.id), item.job.name, str(item.part), format_size(item.bytes), who, item.why)
