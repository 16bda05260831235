"""Rows of the store's table `jobs`, as jobs. Anyone who could write the store may have made others than glmd does."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from daemon.core.states import Job, Source, State
from handlers.records.nodes_plan import MOST_NODES
from handlers.run_names import YEARS
from handlers.units.devices import LIMIT

Row = tuple[int, str, str, str, int, int, str, str, int, str, str, str, str, str, int | None, int, int]
COLUMNS = (
    "id, name, state, reason, attempt, priority, devices, prefix, cancel, submitted, changed, source, code, cycle,"
    " continues, nodes, ranks"
)
NO_JOB = (ValueError, TypeError, RecursionError)
"""What `job_of` raises for a row that says nothing a job could have."""

_MOST_ATTEMPTS = 100_000
_REMEMBERED = 1024
"""Rows whose jobs are kept at hand: the daemon reads those that are not over with every turn."""
_SHOWN = 100
"""Characters of a wrong value."""


@lru_cache(_REMEMBERED)
def job_of(row: Row) -> Job:
    """Return the job that `row`, with COLUMNS, is; raises NO_JOB for what none can have."""
    number, name, state, reason, attempt, priority, devices, prefix, cancel = row[:9]
    submitted, changed, source, code, cycle, continues, nodes, ranks = row[9:]
    held = tuple(json.loads(devices))
    if not 1 <= attempt <= _MOST_ATTEMPTS:
        raise ValueError(f"attempt {attempt} is not possible")
    if any(char in name + prefix for char in "/\0") or not name:
        raise ValueError(f"{name!r:.{_SHOWN}} with the prefix {prefix!r:.{_SHOWN}} is no name of a job")
    if not all(type(device) is int and 0 <= device < LIMIT for device in held):
        raise ValueError(f"{devices:.{_SHOWN}} are no devices")
    if not 0 <= nodes <= MOST_NODES or not 0 <= ranks <= MOST_NODES * LIMIT:
        raise ValueError(f"{nodes} nodes with {ranks} ranks are not possible")
    times = datetime.fromisoformat(submitted), datetime.fromisoformat(changed)
    if not all(time.tzinfo and time.year in YEARS for time in times):
        raise ValueError(f"{submitted:.{_SHOWN}} and {changed:.{_SHOWN}} have no zone, or no year of a job")
    return Job(
        id=number,
        name=name,
        state=State(state),
        reason=reason,
        attempt=attempt,
        priority=priority,
        devices=held,
        prefix=prefix,
        cancel=bool(cancel),
        submitted=times[0],
        changed=times[1],
        source=Source(source),
        code=code,
        cycle=cycle,
        continues=continues,
        nodes=nodes,
        ranks_in_all=ranks,
    )


def why_none(error: Exception) -> str:
    """Return in one line what `job_of` has against a row."""
    return f"{type(error).__name__}: {error!s:.{2 * _SHOWN}}"


def unreadable_lines(rows: Mapping[int, str], most: int) -> list[str]:
    """Return what there is to say of rows that say nothing, by number with why; of at most so many."""
    lines = [f"job {number}: its row in the store cannot be read: {why}" for number, why in rows.items()]
    more = len(lines) - most
    return [*lines[:most], f"{more} more such rows"] if more > 0 else lines
