"""What several commands take: `--root` and `--config`, before or after the command, and JOB."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.lookup import job_in, job_number, root_of, settings_of

__all__ = ["ConfigOption", "JobArgument", "JsonOption", "RootOption", "job_in", "job_number", "root_of", "settings_of"]


def _or_before(ctx: typer.Context, param: typer.CallbackParam, value: Path | None) -> Path | None:
    return value if value is not None else ctx.find_root().params.get(param.name)


RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="glmd's directory; or set GLMD_ROOT.", callback=_or_before),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The settings file.", callback=_or_before)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON; docs/cli.md lists its keys.")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job, as 42, 0042 or 0042-NAME.", show_default=False)]
