"""`glmd check`: what the daemon would say to a file, without dropping it."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.arguments import ConfigOption, JsonOption, RootOption, settings_of
from daemon.commands.exit_codes import BAD_INPUT
from daemon.core.checking import rules
from daemon.core.root import Root
from daemon.core.settings import Settings
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.mindformers.installed import Installed, named
from handlers.printable import printable, to_json
from handlers.slurm.expected import clock
from handlers.validate.check import CheckedConfig
from handlers.validate.check import check as check_content
from handlers.validate.problem import ConfigError


def _version(text: str) -> Installed:
    try:
        return named(text, "--mindformers")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A MindFormers YAML.", show_default=False)],
    *,
    mindformers: Annotated[
        Installed | None,
        typer.Option(
            metavar="VERSION",
            parser=_version,
            help="Check for this version of MindFormers, as 0.8 or 1.9.0, instead of that of the settings.",
            show_default=False,
        ),
    ] = None,
    json_: JsonOption = False,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Check a YAML as the daemon does, and drop nothing."""
    settings = settings_of(root, config)
    if json_:
        found = _as_json(file, settings, mindformers)
        typer.echo(to_json(found))
        raise typer.Exit(0 if found["ok"] else BAD_INPUT)
    _, checked = checked_file(file, settings, mindformers)
    good = (
        f"{file}: good: {checked.run_mode} on {checked.device_target} {checked.place}, "
        f"prefix {checked.prefix}, tag {checked.section.merge.tag}"
    )
    typer.echo(printable(good))
    if checked.start is not None:
        typer.echo(f"  Slurm would start it at {clock(checked.start, datetime.now())}")  # noqa: DTZ005 - as Slurm tells it
    for key, value in checked.section.overrides.items():
        typer.echo(printable(f"  with {key}: {value}"))
    typer.echo(printable(f"checked against {checked.against}"), err=True)


def _as_json(file: Path, settings: Settings, mindformers: Installed | None) -> dict[str, object]:
    """Return what is documented in docs/cli.md: a file with problems is a result, too."""
    try:
        _, checked = checked_file(file, settings, mindformers, quiet=True)
    except ConfigError as error:
        problems = [asdict(problem) for problem in error.problems]
        return {"ok": False, "path": str(file), "code": error.code, "problems": problems}
    return {
        "ok": True,
        "path": str(file),
        "run_mode": checked.run_mode,
        "device_target": checked.device_target,
        "devices": checked.devices,
        "nodes": checked.nodes,
        "devices_per_node": checked.devices_per_node,
        "expected_start": checked.start and checked.start.astimezone().isoformat(),
        "prefix": checked.prefix,
        "tag": checked.section.merge.tag,
        "overrides": checked.section.overrides,
        "against": checked.against,
        "problems": [],
        "warnings": [asdict(warning) for warning in checked.warnings],
    }


def checked_file(
    file: Path, settings: Settings, mindformers: Installed | None = None, *, quiet: bool = False
) -> tuple[bytes, CheckedConfig]:
    """Return the bytes of `file` and what they mean, as the daemon would read them; warnings go to standard error.

    Unless it is to be `quiet`. Raises BadInputError, with all problems at once.
    """
    held_against = rules(settings, Root(settings.root), mindformers)
    try:
        if not file.is_file():
            raise BadInputError(
                f"{file}: {'not a regular file' if file.exists() else 'no such file'}", Code.USAGE_NOT_THERE
            )
        with file.open("rb") as stream:
            content = stream.read(held_against.max_bytes + 1)  # no more: the check says that it is too much
    except OSError as error:
        raise BadInputError(f"{file}: {error.strerror}", Code.USAGE_NOT_THERE) from error
    checked = check_content(content, str(file), held_against)
    for warning in () if quiet else checked.warnings:
        typer.echo(f"warning: {warning.render(str(file))}", err=True)
    return content, checked
