"""Who keeps the store locked: anyone who may read a file may lock it, and SQLite says only that it is locked."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from daemon.core.users import User

LOCKS = Path("/proc/locks")


def holders(store: Path) -> str:
    """Return which other processes have locks on the store's files, for people; empty where nobody is seen."""
    files = set()
    for path in (store, store.with_name(f"{store.name}-shm")):
        with contextlib.suppress(OSError):
            status = path.stat()
            files.add((f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}", status.st_ino))
    pids = {pid for pid, file in _locks() if file in files and pid != os.getpid()}
    return ", ".join(map(_named, sorted(pids)))


def _locks() -> Iterator[tuple[int, tuple[str, int]]]:
    """Yield who holds each lock of this host, on which device and inode (proc_locks(5))."""
    try:
        lines = LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) == 8 and words[1] == "POSIX":
            device, _, inode = words[5].rpartition(":")
            yield int(words[4]), (device, int(inode))


def _named(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
        return f"pid {pid} ({name}) of {User(Path(f'/proc/{pid}').stat().st_uid).name}"
    except OSError:  # it has gone just now, or is in another container
        return f"pid {pid}"
