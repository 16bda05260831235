"""Retry-After: how long the other side asks to be left alone (RFC 9110, 10.2.3)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from daemon.face.notify.senders.limits import Limits


def seconds_to_wait(retry_after: str, now: datetime, limits: Limits) -> float | None:
    """Return the seconds that `retry_after` asks for, up to the longest wait; None where it says none."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), limits.longest_wait)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):  # what it raises depends on how the text is cut
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), limits.longest_wait)
