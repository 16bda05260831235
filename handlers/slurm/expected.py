"""When Slurm expects to start a job, as far as that says anything."""

from datetime import datetime, timedelta

_FARTHEST = timedelta(days=30)
"""Beyond that an expected start is none: beside jobs without a limit Slurm tells years."""
_STEP = timedelta(minutes=5)
"""An expected start moves every second while Slurm plans: it is told in such steps."""


def expected(text: str, now: datetime) -> datetime | None:
    """Return the start that Slurm tells, in local time as `now` is; None for `N/A`, and what is no plan."""
    try:
        start = datetime.fromisoformat(text)
    except ValueError:  # N/A
        return None
    if start.tzinfo is not None or not now <= start <= now + _FARTHEST:
        return None
    past = timedelta(minutes=start.minute % 5, seconds=start.second, microseconds=start.microsecond)
    return start - past + (_STEP if past else timedelta())


def clock(moment: datetime, now: datetime) -> str:
    """Return a local time as people read it: today's without the day."""
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M}"
