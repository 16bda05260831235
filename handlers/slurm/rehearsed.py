"""What sbatch says of a job without submitting it: `sbatch --test-only`.

It proves little: an account or a QOS that does not exist is taken, and so is more time than a partition has. And what
it refuses may be had later: nodes that are drained now count as none.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from handlers.slurm.calling import UnclearError, call, complaint
from handlers.slurm.client import is_refusal
from handlers.slurm.expected import expected
from handlers.slurm.placement import Placement

_START = re.compile(r"\bto start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\b", re.ASCII)
_MAY_COME = "node configuration is not available"
"""Said of what there never is, and of nodes that are down or drained now."""


@dataclass(frozen=True)
class Rehearsed:
    """What would become of a job."""

    refused: str = ""
    """Why Slurm would not take it, in Slurm's words."""
    may_come: bool = False
    """Whether what it is refused for may be had later."""
    start: datetime | None = None
    """When it is expected to start, in local time; None where that is not known, or now."""


def rehearsed(
    sbatch: str, placement: Placement, seconds: float, environment: Mapping[str, str] = os.environ
) -> Rehearsed:
    """Return what Slurm would do with such a job. Raises UnclearError."""
    done = call([sbatch, "--test-only", *placement.options, *placement.extra, "--wrap=true"], seconds, environment)
    text = complaint(done)
    if done.returncode == 0 and (start := _START.search(text)):
        return Rehearsed(start=expected(start[1], datetime.now()))  # noqa: DTZ005 - as Slurm tells it
    if done.returncode != 0 and is_refusal(text):
        return Rehearsed(refused=text, may_come=_MAY_COME in text)
    raise UnclearError(f"sbatch --test-only: {text or f'exit code {done.returncode}'}")
