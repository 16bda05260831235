"""Samples of all jobs together, of promotions and of retention, by the store."""

from collections.abc import Iterator

from daemon.core.daemon_record import DaemonRecordError, read_daemon_record
from daemon.core.notices import NoticeKind
from daemon.core.promotions import Kind
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.metrics import families
from daemon.face.metrics.family import Sample
from daemon.face.metrics.tally import Tally
from handlers.retention.part import Part


def of_store(root: Root, tally: Tally) -> Iterator[Sample]:
    """Yield them; `tally` goes on where it was. Raises StoreError."""
    with ReadStore.open(root.store) as store:
        tally.go_on(store)
        yield from tally.samples()
        counts = store.counts()
        yield from (families.JOBS(counts.get(state, 0), state) for state in State)
        oldest = store.oldest_waiting()
        if oldest is not None:
            yield families.QUEUE_OLDEST(oldest.timestamp())
        yield families.MERGED(store.merged_bytes())
        yield families.OPERATOR_NEEDED(len(store.stuck()))
        lasting = [notice.kind for notice in store.notices()]
        yield from (families.NOTICES(lasting.count(kind), kind) for kind in NoticeKind)
        promotions = store.promotion_counts()
        yield from (families.PROMOTIONS(promotions.get(kind, 0), kind) for kind in Kind)
        removed = store.pruned()
        for part in Part:
            count, size = removed.get(part, (0, 0))
            yield families.PRUNED(count, part)
            yield families.FREED(size, part)
        yield families.PRUNING(len(store.unended_prunings()))
        held = store.locks()
    yield families.DEVICES(len(held), "held")
    if (ours := _devices(root)) is not None:
        yield families.DEVICES(len(ours - held.keys()), "free")


def _devices(root: Root) -> set[int] | None:
    """Return the devices that the daemon may give to jobs; None where it has not said."""
    try:
        record = read_daemon_record(root)
    except (OSError, DaemonRecordError):  # the samples of the daemon say so
        return None
    return None if record is None else set(record.devices)
