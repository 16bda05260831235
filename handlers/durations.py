"""Durations as people write them: `90s`, `30m`, `1h30m`, `2d`, or a plain number of seconds."""

import re
from typing import Annotated

from pydantic import BeforeValidator

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def parse_duration(value: object) -> float:
    """Return seconds; raises ValueError, which says the forms that are understood."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    text = str(value).strip().lower()
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{value!r} is not a duration; write 90s, 30m, 1h30m, 2d or a number of seconds")
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def parse_limit(value: object) -> float | None:
    """Return seconds, or None for `none`; raises ValueError."""
    return None if value is None or str(value).strip().lower() == "none" else parse_duration(value)


def format_duration(seconds: float) -> str:
    """Return `seconds` in its two largest units, as `1h30m` or `45s`."""
    left = round(seconds)
    parts: list[str] = []
    for unit, size in reversed(SECONDS.items()):
        count, left = divmod(left, int(size))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


Duration = Annotated[float, BeforeValidator(parse_duration)]
Limit = Annotated[float | None, BeforeValidator(parse_limit)]
