"""How much room the nights to come need: learned from the runs before, or estimated by the check."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.core.notices import Notice, NoticeKind
from daemon.core.results import Result

RUNS = 5
"""Of a cycle that are done, the newest: what the largest of them took, the next one may."""


@dataclass(frozen=True)
class ToCome:
    """A run that has not begun, and so takes its room yet."""

    cycle: str
    due: datetime


@dataclass(frozen=True)
class Forecast:
    """What the nights to come need, and what there is."""

    needs: Mapping[ToCome, int]
    """Bytes; of runs of which nobody knows, nothing."""
    rest: int
    """Bytes that runs which have begun will take yet."""
    free: int
    """Bytes of the file system of the jobs."""

    @property
    def needed(self) -> int:
        """Bytes, of all together."""
        return sum(self.needs.values()) + self.rest

    @property
    def is_enough(self) -> bool:
        """Whether all that is to come fits, as far as is known."""
        return self.needed <= self.free

    def notice(self, place: Path, at: datetime) -> Notice:
        """Return what somebody should know where it is not enough; `place` is where jobs are written."""
        from handlers.validate.disk_estimate import in_words  # noqa: PLC0415 - 0.5 s, and whoever watches has no use for it

        first = min(self.needs, key=lambda run: run.due)
        cycles = ", ".join(sorted({run.cycle for run in self.needs}))
        rest = f", {in_words(self.rest)} of them for what runs" if self.rest else ""
        night = f"the night of {first.due.astimezone():%Y-%m-%d %H:%M} ({cycles})"
        text = (
            f"{night} needs about {in_words(self.needed)}{rest}, {in_words(self.free)} are free at {place}: its jobs "
            "will wait until there is room; free some, by hand or with glmd prune"
        )
        return Notice(NoticeKind.DISK_LOW, text, at, due=first.due)


def learned(runs: Iterable[Result]) -> int | None:
    """Return what the largest of the runs took, its shards and what was merged; None where nobody knows."""
    return max(
        (one.shards + one.bytes for one in runs if one.shards is not None and one.bytes is not None), default=None
    )


def need(learned: int | None, estimated: int | None) -> int | None:
    """Return what the next run needs.

    The check will not let it begin with less than it estimates, be that more than any run has ever taken.
    """
    known = [size for size in (learned, estimated) if size is not None]
    return max(known, default=None)
