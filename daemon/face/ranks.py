"""The ranks of a training beside each other: how far each is, and who lags."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_high

from daemon.core.states import Job
from handlers.rank_log.progress import Progress, last_step
from handlers.rank_log.tail import tail


@dataclass(frozen=True)
class RankStatus:
    """One rank, as its log tells."""

    rank: int
    device: int
    progress: Progress | None
    """None before its first step."""
    line: str
    """Its last one; empty without a log."""
    quiet: float | None
    """Seconds since it last wrote; None without a log."""
    behind: int = 0
    """Steps that it is behind the rank that is furthest."""

    @property
    def number(self) -> int | None:
        """The step that it told of last, in the whole training."""
        return None if self.progress is None else (self.progress.epoch - 1) * self.progress.steps + self.progress.step

    @property
    def lags(self) -> bool:
        """Whether it is so far behind that it is no matter of who wrote first."""
        return self.behind > 1

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "rank": self.rank,
            "device": self.device,
            "step": self.number,
            "seconds_per_step": None if self.progress is None else self.progress.seconds_per_step,
            "behind": self.behind,
            "quiet_seconds": self.quiet,
            "line": self.line,
        }


def ranks_of(job: Job, root: Path) -> tuple[RankStatus, ...]:
    """Return the ranks of a job, as far as its present output tells of them."""
    directory = job.directory(root)
    found = [_status(rank, job.devices[rank], directory.rank_log(rank)) for rank in job.ranks]
    furthest = max((status.number or 0 for status in found), default=0)
    return tuple(replace(status, behind=furthest - (status.number or 0)) for status in found)


def slowest(ranks: Sequence[RankStatus]) -> RankStatus | None:
    """Return the rank that takes a fifth longer a step than most; None where none does."""
    timed = [(status.progress.seconds_per_step, status) for status in ranks if status.progress is not None]
    known = [(seconds, status) for seconds, status in timed if seconds is not None]
    if len(known) < 2:
        return None
    seconds, status = max(known, key=lambda each: each[0])
    return status if seconds > 1.2 * median_high(each for each, _ in known) else None


def _status(rank: int, device: int, log: Path) -> RankStatus:
    lines = tail(log)
    try:
        quiet = max(0.0, time.time() - log.stat().st_mtime)
    except OSError:
        quiet = None
    line = next((line for line in reversed(lines) if line.strip()), "")
    return RankStatus(rank, device, last_step(lines), line.strip(), quiet)
