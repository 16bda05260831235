"""What is counted over all that has happened: read once, and then only what is new.

The store's transitions are only ever added to, so the counts never go back, no matter who makes them.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from daemon.core.happened import START, History
from daemon.core.promotions import says_no
from daemon.core.read_store import ReadStore
from daemon.core.states import ACTIVE, STEP_OF, State
from daemon.face.metrics import families
from daemon.face.metrics.family import Sample

BOUNDS = (60, 300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800)
"""Seconds."""
MOST_ERRORS = 100
"""That are told apart, the most frequent: glmd has not so many codes of what fails. The rest is `other`."""
_SUBMITTED, _TRAINING, _FAILED, _DONE = (
    state.encode() for state in (State.SUBMITTED, State.TRAINING, State.FAILED, State.DONE)
)
_NOT_OVER = frozenset(state.encode() for state in (State.QUEUED, *ACTIVE))
_STEPS = {state.encode(): step for state, step in STEP_OF.items() if state is not State.SUBMITTED}
"""Of states in which a step runs: in Slurm's queue none does."""
_OUTCOMES = {_FAILED: "failed", State.CANCELLED.encode(): "cancelled"}


@dataclass
class _Durations:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Tally:
    """Counts of one store's transitions."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._place = START
        self._changes: Counter[tuple[bytes, bytes, bytes]] = Counter()
        """By the state before, which is empty where the job was over or new; the state; and the code."""
        self._durations: dict[tuple[str, str], _Durations] = {}
        self._open: dict[int, tuple[bytes, float | None]] = {}
        """Of jobs that are not over: their state, and when they came to it."""

    def go_on(self, store: ReadStore) -> None:
        """Count what is new; all, where the store is another one than before."""
        if not store.is_there(History.TRANSITIONS, self._place):
            self._begin()
        newest = store.newest(History.TRANSITIONS)
        for job, at, state, code in store.lines(self._place, newest):
            was, since = self._open.pop(job, (b"", None))
            self._changes[was, state, code] += 1
            if state in _NOT_OVER:
                self._open[job] = state, at
            if was in _STEPS and at is not None and since is not None:
                key = _STEPS[was], "failed" if _is_again(was, state) else _OUTCOMES.get(state, "done")
                self._durations.setdefault(key, _Durations()).add(max(0.0, at - since))  # clocks may be set
        self._place = newest

    def samples(self) -> Iterator[Sample]:
        """Yield what was counted."""
        states, failures, refusals, resumed = Counter[str](), Counter[tuple[str, str]](), Counter[str](), 0
        for (was, state, code), count in self._changes.items():
            states[str(state, "utf-8", "replace")] += count
            error = str(code, "utf-8", "replace")
            if state == _FAILED or _is_again(was, state):
                failures[str(was, "utf-8", "replace") or "unknown", error or "unknown"] += count
            if was == _TRAINING and _is_again(was, state):
                resumed += count
            if state == _DONE and says_no(error):
                refusals[error] += count
        yield from (families.TRANSITIONS(states[state], state) for state in State)
        yield families.RESUMED(resumed)
        yield from _bounded(failures)
        for error, count in refusals.most_common(MOST_ERRORS):
            yield families.REFUSALS(count, error)
        for key, durations in self._durations.items():
            buckets = zip((*BOUNDS, float("inf")), accumulate(durations.counts), strict=True)
            yield from families.WORK.distribution(buckets, durations.total, *key)


def _is_again(was: bytes, state: bytes) -> bool:
    """Say whether a step failed, and is tried again: through Slurm it waits for nodes first."""
    return state == was or (was, state) == (_TRAINING, _SUBMITTED)


def _bounded(failures: Counter[tuple[str, str]]) -> Iterator[Sample]:
    others: Counter[str] = Counter()
    for place, ((state, error), count) in enumerate(failures.most_common()):
        if place < MOST_ERRORS:
            yield families.FAILURES(count, state, error)
        else:
            others[state] += count
    yield from (families.FAILURES(count, state, "other") for state, count in others.items())
