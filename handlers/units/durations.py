"""Durations as people write them: `90s`, `30m`, `1h30m`, `2d`, or a plain number of seconds."""

import re

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 366 * SECONDS["d"]
"""Far beyond any wait that is meant; what sleeps and polls takes it."""
_PARTS = re.compile("".join(rf"(?:(\d+(?:\.\d+)?)\s*{unit}\s*)?" for unit in reversed(SECONDS)), re.ASCII)


def parse_duration(value: object) -> float:
    """Return seconds; raises ValueError, which says the forms that are understood.

    Each unit counts once, the larger one first: who writes 1m2h or 30m30m has made a slip.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        seconds: float = value
    else:
        parts = _PARTS.fullmatch(str(value).strip().lower())
        if parts is None or not any(parts.groups()):
            raise ValueError(f"{value!r} is not a duration; write 90s, 30m, 1h30m, 2d or a number of seconds")
        sizes = reversed(SECONDS.values())
        seconds = sum(float(number) * size for number, size in zip(parts.groups(), sizes, strict=True) if number)
    if seconds > LONGEST:
        raise ValueError(f"it is no time to wait: longer than {format_duration(LONGEST)}, the longest there is")
    return float(seconds)


def parse_limit(value: object) -> float | None:
    """Return seconds, or None for `none`; raises ValueError."""
    return None if value is None or str(value).strip().lower() == "none" else parse_duration(value)


def format_duration(seconds: float) -> str:
    """Return `seconds` in its largest unit and the next one, as `1h30m` or `45s`."""
    left = round(seconds)
    parts: list[str] = []
    for unit, size in reversed(SECONDS.items()):
        count, left = divmod(left, int(size))
        if count or parts:
            parts.append(f"{count}{unit}")
    return "".join(part for part in parts[:2] if not part.startswith("0")) or "0s"
