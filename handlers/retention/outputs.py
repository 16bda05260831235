"""Which merged outputs of one cycle and prefix are kept: the newest ones, those of days, weeks and months, the best.

The rule is that of restic's `forget` (https://restic.readthedocs.io/en/stable/060_forget.html): each part of `keep`
keeps some by itself, and what none keeps goes. A bad output takes no good one's place: days, weeks, months and
the best ones are counted among the good ones.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from handlers.retention.policy import KeepOutputs


@dataclass(frozen=True)
class Output:
    """A merged output, as far as the rule looks at it."""

    job: int
    ended: datetime
    """When its job was over, with a time zone; days are those of this zone."""
    is_good: bool
    """Whether it was promoted, or was not meant to be and nothing was said against it."""
    loss: float | None = None
    """At the end of its training; None where nobody knows."""


_Period = Callable[[datetime], str]


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _week(moment: datetime) -> str:
    return f"{moment:week %V of %G}"


def _month(moment: datetime) -> str:
    return f"{moment:%Y-%m}"


def kept(outputs: Sequence[Output], keep: KeepOutputs) -> dict[int, str]:
    """Return which of `outputs` are kept, by job, each with the first reason that there is, for people."""
    newest = sorted(outputs, key=lambda one: (one.ended, one.job), reverse=True)
    good = [one for one in newest if one.is_good]
    found: dict[int, str] = {}
    for one in newest[: keep.last]:
        found[one.job] = f"one of the last {keep.last}"
    if others := [one for one in newest if not one.is_good]:
        found.setdefault(others[0].job, "the newest that is not good")
    for count, period in ((keep.daily, _day), (keep.weekly, _week), (keep.monthly, _month)):
        for one in islice(_newest_per_period(good, period), count):
            found.setdefault(one.job, f"the newest of {period(one.ended)}")
    measured = [(one.loss, -one.ended.timestamp(), one.job) for one in good if one.loss is not None]
    for loss, _, job in sorted(measured)[: keep.best]:
        found.setdefault(job, f"its loss, {loss:.4g}, is one of the {keep.best} lowest")
    return found


def _newest_per_period(newest: Sequence[Output], period: _Period) -> Iterator[Output]:
    last = None
    for one in newest:
        if (now := period(one.ended)) != last:
            yield one
        last = now
