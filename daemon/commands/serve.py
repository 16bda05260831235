"""`glmd serve`: the daemon itself."""

import os
import resource
from typing import Annotated

import typer

from daemon.commands.arguments import ConfigOption, RootOption, settings_of
from daemon.serve.start_up import serve as run_service
from handlers.ckpt.files.durable import UMASK
from handlers.codes import Code
from handlers.errors import BadInputError

LEAST_FILES = 64
"""Its own, and a few for each job that it follows."""

AllowRoot = Annotated[bool, typer.Option("--allow-root", help="Allow root to run it: for containers and rehearsals.")]


def serve(*, allow_root: AllowRoot = False, root: RootOption = None, config: ConfigOption = None) -> None:
    """Run the daemon in the foreground."""
    if os.geteuid() == 0 and not allow_root:
        raise BadInputError(
            "glmd does not serve as root: dropped files make it read paths and run programs. Run it as the user "
            "glm (runuser -u glm -- glmd serve, or systemctl start glmd); where there is only root, give --allow-root"
            "",
            Code.DAEMON_AS_ROOT,
        )
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < LEAST_FILES:
        raise BadInputError(
            f"glmd needs {LEAST_FILES} open files at least, and {files} are allowed here: ulimit -n 1024, or "
            "LimitNOFILE= in its unit",
            Code.DAEMON_TOO_FEW_FILES,
        )
    os.umask(UMASK)
    raise typer.Exit(run_service(settings_of(root, config), settings_file=config))
