"""The inbox: which dropped files are there, and which of them may be taken."""

import os
from itertools import islice
from pathlib import Path

import structlog

from daemon.serve.intake.settling import OPEN_SETTLE, Facts, Settling, Sighting
from daemon.serve.watch.kind import Kind
from handlers.host.file_systems import least_settle
from handlers.unfinished import is_ignored

log = structlog.get_logger()

SCAN_LIMIT = 2000  # entries a call looks at, which takes some 20 ms
TAKE_LIMIT = 20  # files a call returns; each means several fsyncs to the caller, who has to answer meanwhile


class Inbox:
    """Follows the entries of `directory` until they have settled. For one thread; times are `time.monotonic()`.

    What it copes with:

    * a slow writer, and one that opens and closes a file several times;
    * a file that is replaced, renamed or removed while it settles, or while it is looked at;
    * events that are lost, doubled or late: a notice is only a reason to look (lstat), and `scan` looks anyway;
    * a network file system, whose attributes are cached for some seconds (see `least_settle`);
    * symbolic links, FIFOs, sockets, directories: they settle like files, so that the claim can reject them aloud;
    * more files than fit one turn of the loop: every call does a bounded amount of work.
    """

    def __init__(self, directory: Path, settle: float, *, open_settle: float = OPEN_SETTLE) -> None:
        self._directory = directory
        self._settling = Settling(max(settle, least_settle(directory)), open_settle)
        self._unscanned = iter(list[str]())
        self._is_scanning = False
        self._left_alone: dict[str, Facts] = {}

    def __len__(self) -> int:
        """Return how many entries are followed."""
        return len(self._settling)

    def notice(self, path: Path, kind: Kind, now: float) -> None:
        """Look at `path`, of which the watch says `kind`; what is not directly in the inbox is skipped."""
        if path.parent == self._directory and not is_ignored(path.name):
            self._look(path.name, kind, now)

    def start_scan(self) -> None:
        """Begin to look at everything that is in the inbox, whatever the watch has said; `scan` does the looking."""
        # Only the names are read here (under 1 ms a thousand), so that no directory stays open between the calls.
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names are wanted; Path objects cost ten times as much
        except OSError as error:
            log.error("inbox_unreadable", path=self._directory, reason=error.strerror)  # noqa: TRY400 - that says it all
            names = []
        self._left_alone = {name: self._left_alone[name] for name in names if name in self._left_alone}
        self._unscanned = iter([name for name in names if not is_ignored(name)])

    def scan(self, now: float) -> bool:
        """Look at the next SCAN_LIMIT entries of the scan that was started; return whether there may be more."""
        batch = list(islice(self._unscanned, SCAN_LIMIT))
        for name in batch:
            self._look(name, Kind.SCAN, now)
        self._is_scanning = len(batch) == SCAN_LIMIT
        return self._is_scanning

    def settled(self, now: float) -> list[Path]:
        """Return at most TAKE_LIMIT entries that have settled, the longest settled first, and forget them.

        One that the caller does not move away is found again by the next scan.
        """
        taken = []
        for name in self._settling.due(now)[:TAKE_LIMIT]:
            self._look(name, Kind.SCAN, now)  # an event may have been lost, or be on its way
            if self._settling.is_due(name, now):
                self._settling.forget(name)
                taken.append(self._directory / name)
        return taken

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds there is more to scan, or `settled` may return something; None where never."""
        return 0.0 if self._is_scanning else self._settling.next_due(now)

    def leave_alone(self, path: Path) -> None:
        """Do not follow `path` again until it changes: it cannot be moved, and that was reported."""
        facts = _facts(path)
        if facts is not None:
            self._left_alone[path.name] = facts

    def _look(self, name: str, kind: Kind, now: float) -> None:
        facts = _facts(self._directory / name)
        if facts is not None and self._left_alone.get(name) == facts:
            return
        self._left_alone.pop(name, None)
        self._settling.see(Sighting(name, kind, facts), now)


def _facts(path: Path) -> Facts | None:
    """Return what lstat says of `path`; None when it is gone, or when the next scan has to try again."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:  # a network file system that is away, a directory without the x bit
        log.warning("inbox_entry_unreadable", path=path, reason=error.strerror)
        return None
    return Facts(status.st_size, status.st_mtime_ns, status.st_ino)
