"""What Slurm has in its queue of the user who asks: squeue(1)."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from handlers.slurm.calling import UnclearError, answer

_FIELDS = "%i|%T|%r|%S|%N|%j|%P"
_ROW = re.compile(
    r"(?P<id>\d{1,12})(?:[_+]\S*)?\|(?P<state>[A-Z_]+)\|(?P<reason>.*)\|(?P<start>[^|]*)\|(?P<nodes>[^|]*)\|(?P<name>[^|]*)\|(?P<partition>[^|]*)",
    re.ASCII,
)
"""The reason may be free text with commas; what others call their jobs may hold anything."""


@dataclass(frozen=True)
class Row:
    """What squeue says of one job."""

    id: str
    state: str
    """As `PENDING`."""
    reason: str
    """Why it is in this state; `None` where Slurm has none."""
    start: str
    """When it began, or is expected to; `N/A` where that is not known."""
    nodes: str
    """As `n[1-2]`; empty while it has none."""
    name: str
    partition: str = ""


def rows(
    squeue: str, seconds: float, *options: str, environment: Mapping[str, str] = os.environ
) -> tuple[Row, ...]:  # fmt: skip
    """Return my jobs that wait or run; others by `options`, as `-t all`. Raises UnclearError."""
    output = answer([squeue, "-h", "-a", f"--user={os.getuid()}", *options, "-o", _FIELDS], seconds, environment)
    return tuple(_row(line) for line in output.splitlines() if line.strip())


def _row(line: str) -> Row:
    found = _ROW.fullmatch(line.strip())
    if found is None:
        raise UnclearError(f"squeue: says {line[:200]!r}")
    return Row(**{name: value.strip() for name, value in found.groupdict().items()})
