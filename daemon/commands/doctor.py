"""`glmd doctor`: a checklist of what this host has and lacks."""

import json
from dataclasses import asdict

import typer

from daemon.commands.arguments import ConfigOption, JsonOption, RootOption, settings_of
from daemon.commands.table import colour, printable
from daemon.diagnosis import Finding, Verdict, examine

COLOURS = {Verdict.OK: "green", Verdict.MISSING: "red", Verdict.NOTE: "yellow"}


def doctor(*, json_: JsonOption = False, root: RootOption = None, config: ConfigOption = None) -> None:
    """Say what this host has and lacks."""
    findings = []
    for finding in examine(settings_of(root, config)):
        findings.append(finding)
        if not json_:
            _show(finding)
    lacking = [finding.name for finding in findings if finding.verdict is Verdict.MISSING]
    if json_:
        typer.echo(json.dumps({"ok": not lacking, "checks": [asdict(each) for each in findings]}, indent=2))
    elif lacking:
        typer.echo(f"glmd cannot train here yet: {', '.join(lacking)}")
    else:
        typer.echo("nothing essential lacks")
    raise typer.Exit(1 if lacking else 0)


def _show(finding: Finding) -> None:
    verdict = colour(f"{finding.verdict:<7}", COLOURS[finding.verdict])
    typer.echo(f"{verdict}  {finding.name:<17} {printable(finding.text)}")
    if finding.advice:
        typer.echo(f"{'':<26} {printable(finding.advice)}")
