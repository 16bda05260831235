"""Samples of nightly cycles, of those alone that are in the daemon's settings."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from daemon.core.counts import NightCount
from daemon.core.daemon_record import DaemonRecordError, read_daemon_record
from daemon.core.forecast import RUNS, learned
from daemon.core.night_runs import Counted, Outcome
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.face.metrics import families
from daemon.face.metrics.family import Sample

_DECIDED = (Outcome.DROPPED, Outcome.CAUGHT_UP, Outcome.SKIPPED)
"""For good: a run that could not be dropped is tried again, and has another outcome then."""


def of_nights(root: Root, now: datetime) -> Iterator[Sample]:
    """Yield them. Raises StoreError."""
    coming = _coming(root)
    with ReadStore.open(root.store) as store:
        known = store.night_counts()
        promoted = store.bases()
        for counted in store.counted():
            cycle = counted.cycle
            runs = [count for count in known if count.cycle == cycle]
            yield from _due(counted, runs, coming.get(cycle), now)
            yield from _became(counted, runs)
            yield from _last_success(store, cycle, runs)
            if (size := learned(store.results_of(cycle, RUNS))) is not None:
                yield families.NIGHT_EXPECTED(size, cycle)
            for one in promoted:
                if one.cycle == cycle:
                    yield families.NIGHT_PROMOTED(one.at.timestamp(), cycle, one.prefix)


def _coming(root: Root) -> dict[str, datetime]:
    """Return when each cycle comes next, as the daemon has said last."""
    try:
        record = read_daemon_record(root)
    except (OSError, DaemonRecordError):  # the samples of the daemon say so
        return {}
    return {} if record is None else {cycle.name: cycle.next_due for cycle in record.cycles}


def _due(counted: Counted, runs: Sequence[NightCount], coming: datetime | None, now: datetime) -> Iterator[Sample]:
    """Yield when a cycle was due last: also where the daemon was gone by then, and so nothing was counted."""
    dues = [count.newest for count in runs]
    if counted.last > counted.since:  # else it is when the cycle was new
        dues.append(counted.last)
    if coming is not None and coming > now:
        yield families.NIGHT_NEXT(coming.timestamp(), counted.cycle)
    elif coming is not None:
        dues.append(coming)
    if dues := [due for due in dues if due <= now]:
        yield families.NIGHT_DUE(max(dues).timestamp(), counted.cycle)


def _became(counted: Counted, runs: Sequence[NightCount]) -> Iterator[Sample]:
    cycle = counted.cycle
    by_outcome = {count.outcome: count for count in runs}
    decided = [by_outcome[outcome].newest for outcome in _DECIDED if outcome in by_outcome]
    if counted.last > counted.since:  # as above
        decided.append(counted.last)
    for outcome in _DECIDED:
        found = by_outcome.get(outcome)
        yield families.NIGHT_RUNS(0 if found is None else found.count, cycle, outcome)
    newest = max(decided, default=None)
    if newest is not None:
        yield families.NIGHT_DECIDED(newest.timestamp(), cycle)
    failed = by_outcome.get(Outcome.FAILED)
    yield families.NIGHT_FAILING(failed is not None and (newest is None or failed.newest > newest), cycle)


def _last_success(store: ReadStore, cycle: str, runs: Sequence[NightCount]) -> Iterator[Sample]:
    dues = [count.unchanged for count in runs if count.unchanged is not None]
    job = store.newest_done(cycle)
    if job is not None:
        dues.append(job.due)
        yield families.NIGHT_SUCCESS(job.changed.timestamp(), cycle)
        result = store.results([job.id]).get(job.id)
        if result is not None and result.final_loss is not None:
            yield families.NIGHT_LOSS(result.final_loss, cycle)
        if result is not None and result.seconds is not None:
            yield families.NIGHT_SECONDS(result.seconds, cycle)
    if dues:
        yield families.NIGHT_SUCCESS_DUE(max(dues).timestamp(), cycle)
