"""`glmd cancel`, `retry` and `reload`: what is asked of a running daemon."""

import typer

from daemon.commands.arguments import ConfigOption, JobArgument, RootOption, job_in, root_of
from daemon.core.control import ask
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from handlers.printable import printable


def cancel(job: JobArgument, *, root: RootOption = None, config: ConfigOption = None) -> None:
    """Cancel a job, or remove it from the queue."""
    _ask_about(job, "cancel", Root(root_of(root, config)))


def retry(job: JobArgument, *, root: RootOption = None, config: ConfigOption = None) -> None:
    """Run the failed or cancelled step of a job again."""
    _ask_about(job, "retry", Root(root_of(root, config)))


def reload(*, root: RootOption = None, config: ConfigOption = None) -> None:
    """Let the daemon read its settings again."""
    typer.echo(printable(ask(root_of(root, config), "reload")))


def _ask_about(job: str, action: str, root: Root) -> None:
    with ReadStore.open(root.store) as store:
        number = job_in(store, job).id
    typer.echo(printable(ask(root.path, action, number)))
