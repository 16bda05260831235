"""The program `glmd`: its commands, and what each kind of error means to the shell."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

COMMANDS = {
    "serve": ("daemon.commands.serve:serve", "Run the daemon in the foreground."),
    "submit": ("daemon.commands.submit:submit", "Check a YAML, then drop it into the inbox."),
    "check": ("daemon.commands.check:check", "Check a YAML as the daemon would; nothing is dropped."),
    "status": ("daemon.commands.status:status", "Show all jobs, or one in detail; also with the daemon down."),
    "logs": ("daemon.commands.logs:logs", "Show a job's events, or what one rank prints."),
    "cancel": ("daemon.commands.control:cancel", "End a job, or take it out of the queue."),
    "retry": ("daemon.commands.control:retry", "Do the step again that failed or was cancelled."),
    "reload": ("daemon.commands.control:reload", "Let the daemon read its settings again."),
    "rank-table": ("daemon.commands.rank_table:app", "Make, check and merge HCCL rank tables."),
    "merge": ("daemon.commands.merge:merge", "Merge a run's shards into one filtered checkpoint."),
    "inspect": ("daemon.commands.inspect:inspect", "Show what a checkpoint or strategy file holds."),
    "doctor": ("daemon.commands.doctor:doctor", "Say what this host has and lacks."),
    "demo": ("daemon.commands.demo:demo", "Rehearse the whole way: a tiny GLM, really trained and merged."),
}
"""Name → (module:attribute, line of help). Only the command that runs is imported, so that `--help` is quick."""

HIDDEN = frozenset({"reload"})
"""What systemd runs rather than people; docs/cli.md has it all the same."""

HELP = """Drop a MindFormers YAML, get a merged, filtered checkpoint.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 3 refused, 130 interrupted."""


class LazyGroup(TyperGroup):
    """A group whose commands are stubs with a line of help until one of them is asked for."""

    # Its signature is made of typer's private types.
    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, D102
        name, stub, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name else stub, rest


def _load(name: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - the type is private to typer
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(rich_markup_mode=None, add_completion=False)
        found.command(name)(function)
    return typer.main.get_command(found)


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


def main() -> int:
    """Run the command line and return the exit code."""
    try:
        app(prog_name="glmd")
    except Exception as error:
        from daemon.commands.exit_codes import exit_code, message  # noqa: PLC0415 - imports every room; seldom needed

        code = exit_code(error)
        if code is None:
            raise
        sys.stdout.flush()
        print(message(error), file=sys.stderr)  # noqa: T201 - this is where errors come out
        return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
