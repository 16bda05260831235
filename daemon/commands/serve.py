"""`glmd serve`: the daemon itself."""

import typer

from daemon.commands.arguments import ConfigOption, RootOption, settings_of
from daemon.service import serve as run_service


def serve(*, root: RootOption = None, config: ConfigOption = None) -> None:
    """Run the daemon in the foreground."""
    raise typer.Exit(run_service(settings_of(root, config), settings_file=config))
