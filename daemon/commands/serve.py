"""`glmd serve`: the daemon itself."""

import os
from typing import Annotated

import typer

from daemon.commands.arguments import ConfigOption, RootOption, settings_of
from daemon.service import serve as run_service
from handlers.ckpt.durable import UMASK
from handlers.errors import BadInputError

AllowRoot = Annotated[bool, typer.Option("--allow-root", help="Serve as root, too: for containers and rehearsals.")]


def serve(*, allow_root: AllowRoot = False, root: RootOption = None, config: ConfigOption = None) -> None:
    """Run the daemon in the foreground."""
    if os.geteuid() == 0 and not allow_root:
        raise BadInputError(
            "glmd does not serve as root: dropped files name paths to read and programs run for them; run it as the "
            "user glm (runuser -u glm -- glmd serve, or systemctl start glmd), or say --allow-root where root is all "
            "there is"
        )
    os.umask(UMASK)
    raise typer.Exit(run_service(settings_of(root, config), settings_file=config))
