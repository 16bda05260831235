"""`glmd doctor` on the nightly cycles: what would be dropped, and what the last runs came to."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from daemon.client.finding import Finding, Verdict
from daemon.client.tonight import tonight
from daemon.core.checking import rules
from daemon.core.database import StoreError
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.setting_sections import NightlySettings
from daemon.core.settings import Settings
from daemon.face.nights import Mark, runs_since
from handlers.errors import BadInputError, RefusedError
from handlers.validate.check import check
from handlers.validate.problem import ConfigError

LATELY = timedelta(days=32)
"""Since when the runs of cycles are told."""


def of_template(cycle: NightlySettings, settings: Settings) -> Finding:
    """Look whether what a cycle would drop now passes the check."""
    name, template = f"nightly {cycle.name}", cycle.template
    try:
        night = tonight(cycle, settings, datetime.now(UTC))
        check(night.content, str(template), rules(settings, Root(settings.root)))
    except (BadInputError, OSError) as error:
        what = f"{template}:{error.problems[0]}" if isinstance(error, ConfigError) else str(error)
        more = f"glmd check {template} says more, and glmd night --dry-run {cycle.name} shows it filled in"
        return Finding(name, Verdict.NOTE, what, f"its nights fail until you fix this; {more}")
    if night.notes:
        return Finding(name, Verdict.NOTE, f"{template} is good; {'; '.join(night.notes)}", "see settings.md")
    return Finding(name, Verdict.OK, f"{template} is good")


def of_last_runs(settings: Settings) -> Iterator[Finding]:
    """Yield what the last run of each cycle came to, where one was of late; that the store cannot be read is told."""
    with contextlib.suppress(StoreError, RefusedError), ReadStore.open(Root(settings.root).store) as store:
        runs = runs_since(store, datetime.now(UTC) - LATELY)
        for cycle in settings.nightly:
            over = [run for run in runs.get(cycle.name, ()) if run.mark is not Mark.RUNNING]
            if not over:
                continue
            run = over[-1]
            is_well = run.is_good is not False
            text = f"{run.mark}, {run.due.astimezone():%Y-%m-%d %H:%M}{f': {run.reason}' if not is_well else ''}"
            advice = "" if is_well else f"glmd night {run.night} says more"
            yield Finding(f"last {cycle.name}", Verdict.OK if is_well else Verdict.NOTE, text, advice)
