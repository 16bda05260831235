"""When a training counts as diverged, as types of settings that pydantic reads."""

import math
import re
from typing import Annotated

from pydantic import BeforeValidator

_OFF = {"off", "none", "false", "null"}
"""YAML 1.1, as MindFormers reads it, makes False of `off`."""
_MOST_LINES = 1_000_000
_MOST_RISE = 1e9


def parse_lines(value: object) -> int | None:
    """Return how many printed lines, None for `off`; raises ValueError, which says the forms that are understood."""
    text = str(value).strip().lower()
    if text in _OFF:
        return None
    lines = int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else 0
    if not 1 <= lines <= _MOST_LINES:
        raise ValueError(f"{_shown(value)} is no number of printed lines; write 1 to {_MOST_LINES}, as 20, or `off`")
    return lines


def parse_rise(value: object) -> float | None:
    """Return the multiple, None for `off`; raises ValueError, which says the forms that are understood."""
    text = str(value).strip().lower()
    if text in _OFF:
        return None
    try:
        rise = float(text)
    except ValueError:
        rise = math.nan
    if not 1 < rise <= _MOST_RISE:
        raise ValueError(f"{_shown(value)} is no multiple of a loss; write a number above 1, as 3, or `off`")
    return rise


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


NotFinite = Annotated[int | None, BeforeValidator(parse_lines)]
Rise = Annotated[float | None, BeforeValidator(parse_rise)]
