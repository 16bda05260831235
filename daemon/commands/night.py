"""`glmd night`: a nightly cycle's run."""

from typing import Annotated

import typer

from daemon.commands.arguments import ConfigOption, RootOption, settings_of
from daemon.commands.tonight import show, try_now
from handlers.codes import Code
from handlers.errors import BadInputError

TryOption = Annotated[
    str | None,
    typer.Option("--try", metavar="CYCLE", help="Drop the YAML of this cycle now, as a run of this moment."),
]
DryRunOption = Annotated[
    str | None,
    typer.Option("--dry-run", metavar="CYCLE", help="Show it instead, filled in, and what the check says of it."),
]


def night(
    *, try_: TryOption = None, dry_run: DryRunOption = None, root: RootOption = None, config: ConfigOption = None
) -> None:
    """Drop a nightly cycle's YAML now, or show it."""
    settings = settings_of(root, config)
    match try_, dry_run:
        case str(), None:
            try_now(try_, settings)
        case None, str():
            show(dry_run, settings)
        case _:
            raise BadInputError("give --try CYCLE, or --dry-run CYCLE", Code.USAGE_OPTIONS)
