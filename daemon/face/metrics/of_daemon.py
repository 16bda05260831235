"""Samples of the daemon, by what it says of itself in daemon.json."""

from collections.abc import Iterator

from daemon.core.daemon_record import is_alive, read_daemon_record
from daemon.core.root import Root
from daemon.face.metrics import families
from daemon.face.metrics.family import Sample


def of_daemon(root: Root) -> Iterator[Sample]:
    """Yield them. Raises OSError, DaemonRecordError."""
    record = read_daemon_record(root)
    is_up = record is not None and is_alive(record)
    yield families.UP(is_up)
    if record is not None and is_up:
        yield families.DAEMON_STARTED(record.started.timestamp())
        yield families.FAULTS(len(record.faults))
