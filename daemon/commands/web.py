"""`glmd web`: the page, served; and how to reach it from another machine."""

import platform
from typing import Annotated

import typer

from daemon.commands.arguments import ConfigOption, RootOption, settings_of
from daemon.core.settings import Settings
from daemon.core.web_settings import AUTO, address_in

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Serve the page, which only reads.")
_PORT = 8470
_SOCKET = "/run/glmd/web.sock"


@app.callback(invoke_without_command=True)
def web(
    ctx: typer.Context,
    *,
    listen: Annotated[
        str | None, typer.Option(metavar="WHERE", help="127.0.0.1:PORT or the path of a socket; default web.listen.")
    ] = None,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Serve the page, which only reads; also with the daemon down."""
    if ctx.invoked_subcommand is not None:
        return
    from daemon.face.web.process import serve  # noqa: PLC0415 - `glmd web link` needs nothing of it

    serve(settings_of(root, config), listen)


@app.command()
def link(root: RootOption = None, config: ConfigOption = None) -> None:
    """Say how to reach the page from another machine."""
    typer.echo("\n".join(lines(settings_of(root, config), platform.node())))


def lines(settings: Settings, host: str) -> list[str]:
    """Return what to type on a laptop, and what to open then."""
    if settings.web.url is not None:
        return [settings.web.url]
    address = address_in(settings.web.listen)
    there = f"localhost:{address[1]}" if address else _SOCKET if settings.web.listen == AUTO else settings.web.listen
    return [f"ssh -N -L {_PORT}:{there} {host}", f"then open http://localhost:{_PORT}/"]
