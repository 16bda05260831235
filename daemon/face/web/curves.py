"""The curves of trainings, kept in memory as far as they were read: one that grows is not read from its start."""

import math
import threading
import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from daemon.face.web.column import Column
from handlers.rank_log.steps import StepLine
from handlers.records.job_dir import JobDir
from handlers.training_record.following import Follower
from handlers.training_record.record import NAME

MOST_ROWS = 250_000
"""Rows of all trainings that are kept: 18 MB at most."""
AT_ONCE = 0.25
"""Seconds that are read for one answer: a long record is there in several."""
_PIECE = 1 << 16
"""Bytes of a record that are read at a time, so that its rows as objects stay few."""
VALUES = ("time", "loss", "lr", "ms", "overflow", "scale", "norm", "samples")


@dataclass(frozen=True)
class Curve:
    """Some steps of a training as columns: those of what counts, and the losses of what was trained in vain."""

    number: Sequence[int]
    """Each step's place in the whole training, from 1, rising."""
    values: Mapping[str, Sequence[float | None]]
    """By VALUES; None where nothing is said, or it is no finite number."""
    vain: Sequence[float | None]
    """The loss of the same step in an attempt before, which went on to other steps in vain."""
    began: dict[int, int]
    """Attempt → its first step."""
    rows: int
    """How many were read."""
    is_whole: bool = True
    """Whether those are all there are; else more are there when it is asked for again."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        began = {str(attempt): first for attempt, first in self.began.items()}
        return {
            "step": self.number,
            **self.values,
            "vain": self.vain,
            "attempts": began,
            "rows": self.rows,
            "whole": self.is_whole,
        }


class Curves:
    """The trainings that were looked at last."""

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most_rows = most_rows
        self._kept: OrderedDict[Path, _Attempt] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, directory: JobDir, points: int, after: int = 0) -> Curve:
        """Return at most about so many points of a training, from the first step behind `after` on. Raises OSError."""
        attempts = [self._attempt(number, path) for number, path in _records(directory)]
        until = time.monotonic() + AT_ONCE
        is_whole = all(attempt.read_on(until) for attempt in attempts)
        self._forget()
        return replace(_curve(attempts, points, after), is_whole=is_whole)

    def rows_of(self, directory: JobDir) -> Iterator[tuple[float | None, ...]]:
        """Return each step that counts: its number, and what VALUES names. All are read before. Raises OSError."""
        attempts = [self._attempt(number, path) for number, path in _records(directory)]
        for attempt in attempts:
            attempt.read_on(math.inf)
        return _rows(attempts)

    def _attempt(self, number: int, path: Path) -> "_Attempt":
        with self._lock:
            attempt = self._kept.setdefault(path, _Attempt(number, Follower(path)))
            self._kept.move_to_end(path)
            return attempt

    def _forget(self) -> None:
        with self._lock:
            total = sum(len(attempt.number) for attempt in self._kept.values())
            while total > self._most_rows and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                total -= len(oldest.number)


@dataclass
class _Attempt:
    """What was read of an attempt's record so far."""

    attempt: int
    follower: Follower
    number: "array[int]" = field(default_factory=lambda: array("q"))
    columns: list[Column] = field(default_factory=lambda: [Column() for _ in VALUES])
    is_rising: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read_on(self, until: float) -> bool:
        """Read what has come since, and say whether that was all by this moment of time.monotonic. Raises OSError."""
        with self.lock:
            before = None
            while self.follower.offset != before:  # a piece of a record that was thinned may have nothing new
                if before is not None and time.monotonic() > until:  # each answer has a piece more
                    return False
                before = self.follower.offset
                for row in self.follower.read(_PIECE):
                    for column, value in zip(self.columns, _values(row.step), strict=True):
                        column.append(math.nan if value is None else value)
                    self.is_rising = self.is_rising and (not self.number or row.step.number > self.number[-1])
                    self.number.append(row.step.number)  # last: who looks meanwhile finds whole rows
        return True

    def between(self, least: float, limit: float) -> Sequence[int]:
        """Return the places of the steps from `least` to before `limit`."""
        if self.is_rising:
            return range(bisect_left(self.number, least), bisect_left(self.number, limit))
        return [place for place in range(len(self.number)) if least <= self.number[place] < limit]


def _rows(attempts: Sequence[_Attempt]) -> Iterator[tuple[float | None, ...]]:
    for attempt, limit in zip(attempts, _limits(attempts), strict=True):
        for place in range(len(attempt.number)):
            if attempt.number[place] < limit:
                yield attempt.number[place], *(_finite(column[place]) for column in attempt.columns)


def _records(directory: JobDir) -> list[tuple[int, Path]]:
    return [(number, path / NAME) for number, path in zip(directory.attempts(), directory.trainings(), strict=True)]


def _values(step: StepLine) -> tuple[float | None, ...]:
    return (
        step.time,
        step.loss,
        step.learning_rate,
        step.milliseconds,
        step.overflow,
        step.loss_scale,
        step.norm,
        step.samples,
    )


def _curve(attempts: Sequence[_Attempt], points: int, after: int) -> Curve:
    """Join the attempts: from the first step of a later one on it is that one's steps that count."""
    chosen: dict[int, tuple[_Attempt, int]] = {}
    vain: dict[int, float] = {}
    began: dict[int, int] = {}
    for attempt, limit in zip(attempts, _limits(attempts), strict=True):
        if not attempt.number:
            continue
        began[attempt.attempt] = attempt.number[0]
        for place in _extremes(attempt, attempt.between(after + 1, limit), points):
            chosen[attempt.number[place]] = attempt, place
        for place in _extremes(attempt, attempt.between(max(limit, after + 1), math.inf), points // 2):
            vain[attempt.number[place]] = attempt.columns[1][place]  # of the last attempt that was there
    numbers = sorted(chosen.keys() | vain.keys())
    places = [chosen.get(number) for number in numbers]
    values = {name: _values_at(places, column) for column, name in enumerate(VALUES)}
    return Curve(
        number=numbers,
        values=values,
        vain=[_finite(vain.get(number, math.nan)) for number in numbers],
        began=began,
        rows=sum(len(attempt.number) for attempt in attempts),
    )


def _limits(attempts: Sequence[_Attempt]) -> list[float]:
    """Return of each attempt the step from which on later ones count."""
    limits: list[float] = []
    limit = math.inf
    for attempt in reversed(attempts):
        limits.append(limit)
        limit = min(limit, attempt.number[0]) if attempt.number else limit
    return limits[::-1]


def _values_at(places: Sequence[tuple[_Attempt, int] | None], column: int) -> list[float | None]:
    found = [math.nan if place is None else place[0].columns[column][place[1]] for place in places]
    return [value if math.isfinite(value) else None for value in found]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _extremes(attempt: _Attempt, places: Sequence[int], points: int) -> Iterable[int]:
    """Return of each of `points` / 2 stretches where the loss is lowest and highest, the first and the last place."""
    if len(places) <= points:
        return places
    losses = attempt.columns[1]
    kept = {places[0], places[-1]}
    size = math.ceil(len(places) / max(1, points // 2))
    for start in range(0, len(places), size):
        stretch = places[start : start + size]
        if isinstance(stretch, range) and math.isfinite(sum(values := losses[stretch.start : stretch.stop])):
            kept |= {stretch[values.index(min(values))], stretch[values.index(max(values))]}
            continue
        finite = [place for place in stretch if math.isfinite(losses[place])]
        kept |= {min(finite, key=losses.__getitem__), max(finite, key=losses.__getitem__)} if finite else {stretch[0]}
    return sorted(kept)
