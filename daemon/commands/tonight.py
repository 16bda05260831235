"""`glmd night --try` and `--dry-run`: a cycle's YAML of this moment, dropped or shown."""

from datetime import UTC, datetime

import typer

from daemon.client.tonight import cycle_named, drop_now, tonight
from daemon.core.checking import rules
from daemon.core.presence import Presence, presence
from daemon.core.root import Root
from daemon.core.settings import Settings
from handlers.nightly import Night
from handlers.printable import printable
from handlers.validate.check import check


def try_now(name: str, settings: Settings) -> None:
    """Check the YAML of cycle `name` as of now, and drop it; `if_unchanged` is not asked. Raises BadInputError."""
    root = Root(settings.root)
    night = _made(name, settings)
    _show_check(night, settings)
    dropped = drop_now(night, root)
    typer.echo(printable(f"dropped: {dropped.path}"))
    if presence(root.path) is Presence.ABSENT:
        typer.echo(printable(f"glmd does not run at {root.path}: glmd takes the file when it starts"), err=True)


def show(name: str, settings: Settings) -> None:
    """Show the YAML of cycle `name` as of now, and say what its check says. Raises BadInputError."""
    night = _made(name, settings)
    typer.echo(night.content.decode(), nl=False)
    _show_check(night, settings)


def _made(name: str, settings: Settings) -> Night:
    night = tonight(cycle_named(name, settings), settings, datetime.now(UTC))
    for note in night.notes:
        typer.echo(printable(f"note: {note}"), err=True)
    return night


def _show_check(night: Night, settings: Settings) -> None:
    """Say what the check says of it; raises ConfigError where it would be rejected."""
    file = f"{night.run}.yaml"
    checked = check(night.content, file, rules(settings, Root(settings.root)))
    for warning in checked.warnings:
        typer.echo(f"warning: {warning.render(file)}", err=True)
    good = f"{file}: good: {checked.run_mode} on {checked.place}, prefix {checked.prefix}"
    typer.echo(printable(good), err=True)
