"""Who keeps the store locked is named."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.store import Store
from daemon.serve.intake.nightly import Cycles
from daemon.serve.lock_holders import holders
from daemon.serve.loop.waiting import Waiting
from daemon.serve.service import Service

LOCK = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.lockf(descriptor, fcntl.LOCK_SH, 1, 120)  # where SQLite's one writer locks, see its wal.c
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """Return a root whose store somebody reads and keeps locked."""
    root = Root(tmp_path)
    root.create()
    with Store.open(root.store):
        yield root


def test_whoever_keeps_the_store_locked_is_in_the_fault(root: Root) -> None:
    """By a read lock of a file that a member may read: nothing can keep them from it, so they are named."""
    with Store.open(root.store) as store, Waiting() as waiting:
        service = Service(Settings(root=root.path), None, root, store, waiting)
        shm = root.store.with_name("glmd.db-shm")
        with subprocess.Popen(
            [sys.executable, "-c", LOCK, shm], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            (cycles,) = (source for source in service._sources if isinstance(source, Cycles))
            cycles._are_others_forgotten = False
            service.turn()
            summary = service._faults.summary
            assert process.stdin is not None
            process.stdin.close()
        service._watch.stop()
    assert "store: database is locked" in summary
    assert f"pid {process.pid} (python" in summary


def test_nobody_is_seen_where_nobody_is(root: Root) -> None:
    """Our own locks do not count."""
    assert holders(root.store) == ""
