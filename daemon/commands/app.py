"""All commands as typer sees them, without importing any but the one that runs: `--help` is to be quick."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from daemon.commands import COMMANDS, HIDDEN, OWN_PARSER

HELP = """Drop a MindFormers YAML, get a merged, filtered checkpoint.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 3 refused, 130 interrupted."""

_UNPARSED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class LazyGroup(TyperGroup):
    """A group whose commands are stubs with a line of help until one of them is asked for."""

    # Its signature is made of typer's private types.
    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, D102
        name, stub, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else stub, rest


def load(name: str):  # type: ignore[no-untyped-def] # noqa: ANN201 - the type is private to typer
    """Import a command."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(module), attribute)
    if name in OWN_PARSER:
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command(name, help=COMMANDS[name][1], context_settings=_UNPARSED)(_unparsed(found))
        return typer.main.get_command(app)
    command = _command(found)
    _add_common_options(command)
    return command


def _command(found: typer.Typer | Callable[..., None]):  # type: ignore[no-untyped-def] # noqa: ANN202 - as above
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(found.__name__.rstrip("_"))(found)
    return typer.main.get_command(app)


def _common(
    root: Annotated[str | None, typer.Option("--root", hidden=True)] = None,
    config: Annotated[str | None, typer.Option("--config", hidden=True)] = None,
) -> None:
    del root, config


def _add_common_options(command: object) -> None:
    """Let `command`, or those within it, take `--root` and `--config` also where these mean nothing to it."""
    within = getattr(command, "commands", {}).values()
    for one in within:
        _add_common_options(one)
    if not within:
        there = getattr(command, "params", [])
        taken = {option for parameter in there for option in parameter.opts}
        for parameter in _command(_common).params:
            parameter.expose_value = False
            if taken.isdisjoint(parameter.opts):
                there.append(parameter)


def _unparsed(function: Callable[[Sequence[str]], None]) -> Callable[[typer.Context], None]:
    """Make a command of a function that takes the words behind its name."""

    def command(ctx: typer.Context) -> None:
        function(ctx.args)

    return command


app = typer.Typer(
    name="glmd",
    cls=LazyGroup,
    help=HELP,
    rich_markup_mode=None,  # rich would double the time of `--help`
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, (_, _line) in COMMANDS.items():
    app.command(_name, help=_line, hidden=_name in HIDDEN)(lambda: None)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - costs a third of `--help`

        typer.echo(f"glmd {version('glmd')}")
        raise typer.Exit


@app.callback()
def options(
    root: Annotated[
        Path | None, typer.Option(envvar="GLMD_ROOT", help="glmd's directory, if not /var/glm.", metavar="DIR")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="The settings file, if not ROOT/glmd.yaml or /etc/glmd/glmd.yaml.", metavar="FILE"),
    ] = None,
    version: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what all commands have in common; they look it up (daemon.commands.arguments)."""
    del root, config, version
