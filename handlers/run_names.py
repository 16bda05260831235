"""What the runs of nightly cycles are called: their files, and the jobs that these become."""

import re
from datetime import UTC, datetime

YEARS = range(1971, 9001)
"""With a zone's offset and some weeks more, time is told of them as well."""


def run_name(name: str, scheduled: datetime) -> str:
    """Return the name of cycle `name`'s run of the time `scheduled`, as `nightly-20261124T013000Z`.

    In UTC: one name a run, also in the hour that the end of summer time repeats. Raises ValueError for a `name` that
    is none for a file, or a time without a zone.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or scheduled.tzinfo is None:
        raise ValueError(f"cycle {name!r} at {scheduled} gives no name")
    return f"{name}-{scheduled.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def is_run_of(name: str, run: str) -> bool:
    """Say whether `run` is what `run_name` calls one of cycle `name`'s runs."""
    return is_run(run) and cycle_of(run) == name


def cycle_of(run: str) -> str:
    """Return of which cycle `run`, which `is_run`, is one."""
    return run.rpartition("-")[0]


def time_of(run: str) -> datetime | None:
    """Return for which time a run of this name is one; None where it tells none, or one that no clock has shown."""
    try:
        time = datetime.strptime(run.rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:  # the thirtieth of February
        return None
    return time if is_run(run) and time.year in YEARS else None


def is_run(name: str) -> bool:
    """Say whether `name` is what `run_name` calls a run of some cycle."""
    return re.fullmatch(r"[A-Za-z0-9_-]+-[0-9]{8}T[0-9]{6}Z", name) is not None
