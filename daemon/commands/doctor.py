"""`glmd doctor`: a checklist of what this host has and lacks."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemon.commands.arguments import ConfigOption, JsonOption, RootOption, root_of, settings_of
from daemon.commands.table import colour, printable
from daemon.diagnosis import Finding, Verdict, examine
from daemon.root import Root

COLOURS = {Verdict.OK: "green", Verdict.MISSING: "red", Verdict.NOTE: "yellow"}


StateOption = Annotated[
    bool,
    typer.Option("--state", help="Examine root and store instead: does what lies on the disk fit the jobs' states?"),
]


def doctor(
    *, state: StateOption = False, json_: JsonOption = False, root: RootOption = None, config: ConfigOption = None
) -> None:
    """Say what this host has and lacks, or with --state whether root and store agree."""
    if state:
        _examine_state(root_of(root, config), json_=json_)
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


def _examine_state(root: Path, *, json_: bool) -> NoReturn:
    from daemon.state_check import check_state  # noqa: PLC0415 - the records of jobs, which the host's check has no use for

    found = check_state(Root(root))
    if json_:
        typer.echo(json.dumps({"ok": not found, "disagreements": [each.as_json() for each in found]}, indent=2))
    for each in () if json_ else found:
        of_job = f"job {each.job}" if each.job is not None else ""
        typer.echo(f"{colour(each.kind, 'red')}  {of_job}")
        for line in (str(each.where), each.what, each.repair):
            typer.echo(f"  {printable(line)}")
    if not json_:
        typer.echo(f"{len(found)} disagreement{'s' * (len(found) > 1)}" if found else "root and store agree")
    raise typer.Exit(1 if found else 0)


def _show(finding: Finding) -> None:
    verdict = colour(f"{finding.verdict:<7}", COLOURS[finding.verdict])
    typer.echo(f"{verdict}  {finding.name:<17} {printable(finding.text)}")
    if finding.advice:
        typer.echo(f"{'':<26} {printable(finding.advice)}")
