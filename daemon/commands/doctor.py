"""`glmd doctor`: a checklist of what this host has and lacks."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemon.client.diagnosis import examine
from daemon.client.finding import Finding, Verdict
from daemon.client.slurm_findings import of_slurm
from daemon.commands.arguments import ConfigOption, JsonOption, RootOption, root_of, settings_of
from daemon.commands.terminal.progress import progress
from daemon.commands.terminal.table import colour
from daemon.core.nights import schedule_of
from daemon.core.root import Root
from daemon.core.setting_sections import NightlySettings
from daemon.core.settings import SettingsError, settings_file
from daemon.core.slurm_settings import SlurmSettings
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable, to_json
from handlers.slurm.calling import UnclearError
from handlers.slurm.client import ANSWER
from handlers.slurm.queue import Row, rows

NIGHTS = 5
"""How many of each cycle's are told."""
COLOURS = {Verdict.OK: "green", Verdict.MISSING: "red", Verdict.NOTE: "yellow"}


StateOption = Annotated[
    bool,
    typer.Option("--state", help="Compare the root with the store instead: do the files fit the jobs' states?"),
]


SlurmOption = Annotated[
    bool,
    typer.Option("--slurm", help="Examine Slurm instead, and each node by a Slurm job of a minute."),
]


def doctor(
    *,
    state: StateOption = False,
    slurm: SlurmOption = False,
    json_: JsonOption = False,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Examine this host, Slurm (--slurm), or the root (--state).

    With --state it compares the root with the store.
    """
    if state and slurm:
        raise BadInputError("give one of --slurm and --state", Code.USAGE_OPTIONS)
    if state:
        _examine_state(root_of(root, config), _InSlurm(root, config), json_=json_)
    settings = settings_of(root, config)
    if slurm:
        _tell(of_slurm(settings), [], json_=json_)
    nights = [(cycle, _next_nights(cycle)) for cycle in settings.nightly]  # first: a cycle without nights is an error
    _tell(examine(settings, settings_file(config, root)), nights, json_=json_)


def _tell(
    found: Generator[Finding], nights: Sequence[tuple[NightlySettings, list[datetime]]], *, json_: bool
) -> NoReturn:
    """Tell findings as they come, and the nights."""
    findings = []
    with closing(found):
        for finding in found:
            findings.append(finding)
            if not json_:
                _show(finding)
    lacking = [finding.name for finding in findings if finding.verdict is Verdict.MISSING]
    if json_:
        checks = [asdict(finding) for finding in findings]
        upcoming = [{"name": cycle.name, "next": [time.isoformat() for time in times]} for cycle, times in nights]
        typer.echo(to_json({"ok": not lacking, "checks": checks, "nights": upcoming}))
        raise typer.Exit(1 if lacking else 0)
    for cycle, times in nights:
        _show_nights(cycle, times)
    typer.echo(f"glmd cannot train here yet: {', '.join(lacking)}" if lacking else "nothing essential lacks")
    raise typer.Exit(1 if lacking else 0)


class _InSlurm:
    """Asks Slurm what it has, and says once where it does not tell. It is asked where the settings say, if they do."""

    def __init__(self, root: Path | None, config: Path | None) -> None:
        self._where = root, config
        self._is_reported = False

    def __call__(self) -> tuple[Row, ...] | None:
        try:
            return rows(self._squeue, ANSWER)
        except UnclearError as error:
            if not self._is_reported:
                typer.echo(printable(f"Slurm does not answer, and is not looked at: {error}"), err=True)
            self._is_reported = True
            return None

    @cached_property
    def _squeue(self) -> str:
        try:
            slurm = settings_of(*self._where).slurm
        except SettingsError:  # they are no matter here
            slurm = None
        return (slurm or SlurmSettings()).programs.squeue


def _examine_state(root: Path, queue: _InSlurm, *, json_: bool) -> NoReturn:
    from daemon.face.audit import check_state  # noqa: PLC0415 - the records of jobs, which the host's check has no use for

    with progress("state_checked", "looking at jobs", unit=lambda jobs: f"{jobs:,.0f}") as report:
        found = check_state(Root(root), progress=report, queue=queue)
    if json_:
        typer.echo(to_json({"ok": not found, "disagreements": [disagreement.as_json() for disagreement in found]}))
    for disagreement in () if json_ else found:
        of_job = f"job {disagreement.job}" if disagreement.job is not None else ""
        typer.echo(f"{colour(disagreement.kind, 'red')}  {of_job}")
        for line in (str(disagreement.where), disagreement.what, disagreement.repair):
            typer.echo(f"  {printable(line)}")
    if not json_:
        typer.echo(f"{len(found)} disagreement{'s' * (len(found) > 1)}" if found else "root and store agree")
    raise typer.Exit(1 if found else 0)


def _next_nights(cycle: NightlySettings) -> list[datetime]:
    """Return the next times of a cycle, as its zone's clocks show them. Raises SettingsError."""
    schedule, time = schedule_of(cycle), datetime.now(UTC)
    return [schedule.local(time := schedule.after(time)) for _ in range(NIGHTS)]


def _show_nights(cycle: NightlySettings, times: list[datetime]) -> None:
    where = cycle.timezone or "the host's time zone"
    typer.echo(f"nights   {cycle.name:<17} {printable(cycle.cron)} in {where}")
    for time in times:
        typer.echo(f"{'':<26} {time:%a} {time.isoformat(' ', 'minutes')}")


def _show(finding: Finding) -> None:
    verdict = colour(f"{finding.verdict:<7}", COLOURS[finding.verdict])
    typer.echo(f"{verdict}  {finding.name:<17} {printable(finding.text)}")
    if finding.advice:
        typer.echo(f"{'':<26} {printable(finding.advice)}")
