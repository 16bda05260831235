"""Following one watched tree, in a process apart: whatever its storage does, the daemon's loop goes on."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

import structlog

from daemon.core.setting_sections import Observer, WatchSettings
from daemon.serve.apart.guarded import link
from daemon.serve.loop.waiting import Waiting
from daemon.serve.watch.kind import Kind
from daemon.serve.watch.watching import DirectoryWatch
from handlers.ckpt.errors import CkptError
from handlers.errors import HandlerError
from handlers.host.reach import DoesNotAnswerError, reach
from handlers.shards.closing import QUIET
from handlers.shards.names import LAST, SUFFIXES, TRACKER, Part
from handlers.shards.readiness import NotReady, Readiness, Ready
from handlers.shards.tree_tracker import TreeTracker

MOST_HINTS = 10_000
"""More than so many that wait are given up for one look at the whole tree."""

_OVERTAKEN = frozenset({LAST, Part.NETWORK, Part.TRAINABLE})
"""The tags whose shards are others after the training has saved again."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class TreeFollower:
    """Says when what is wanted of a tree is there, and quiet; times are on the monotonic clock.

    A hint costs the work of the one path that it is about; the whole tree is looked at when hints may have been lost.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self._tracker = TreeTracker(
            settings.path,
            tag=settings.tag,
            prefix=settings.prefix,
            ranks=settings.ranks,
            needs_strategy=settings.needs_strategy,
        )
        self._hints: list[tuple[Path, Kind]] = []
        """Where something happened that the tracker has not been told of, in order, and what."""
        self._look_at: float | None = 0.0
        """When to look at the whole tree; None where nothing speaks for it."""
        self._noticed = -math.inf
        """When something last happened."""

    def notice(self, path: Path, kind: Kind, now: float) -> None:
        """Take a hint that something changed at `path`."""
        self._noticed = now
        self._hints.append((path, kind))
        if len(self._hints) > MOST_HINTS:
            self._hints.clear()
            self.look_by(now)

    def look_by(self, when: float) -> None:
        """Look at the whole tree at `when`, if not before."""
        self._look_at = when if self._look_at is None else min(self._look_at, when)

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds `turn` has something to do; None when it has nothing."""
        if self._hints:
            return 0.0
        return None if self._look_at is None else max(0.0, self._look_at - now)

    def turn(self, now: float) -> Readiness | None:
        """Look at the tree, or follow the hints, and return what is worth telling. Raises DoesNotAnswerError."""
        hints, self._hints = self._hints, []
        seen: Readiness | None = self._follow(hints) if hints else None
        if self._look_at is not None and self._look_at <= now:  # that a shard was closed, no look can tell
            self._look_at = None
            seen = self._look()
        if isinstance(seen, Ready):
            return seen if self._is_quiet(seen) else None
        if time.monotonic() - self._noticed < QUIET:  # what may still be open is to be at rest
            self.look_by(self._noticed + QUIET + 1)
        return seen

    def _look(self) -> Readiness:
        try:
            return self._tracker.look()
        except DoesNotAnswerError:
            raise
        except (HandlerError, CkptError, OSError) as error:
            return NotReady(str(error))
        except Exception as error:  # of what others have written there; the next process would meet it again
            log.exception("look_broke", path=str(self._settings.path))
            return NotReady(f"a defect in glmd: {type(error).__name__}: {error}; see the daemon's log")

    def _follow(self, hints: Sequence[tuple[Path, Kind]]) -> Ready | None:
        try:
            for path, kind in hints:
                take_in = self._tracker.closed if kind is Kind.CLOSED else self._tracker.noticed
                take_in(path)
            return self._tracker.ready()
        except DoesNotAnswerError:
            raise
        except Exception:  # noqa: BLE001 - the look says what is wrong
            self.look_by(time.monotonic())  # the hints are lost
            return None

    def _is_quiet(self, ready: Ready) -> bool:
        rest = self._settings.quiet - ready.age
        if self._settings.tag in _OVERTAKEN and rest > 0:  # newer shards may be on their way
            self.look_by(time.monotonic() + rest)
            return False
        return True


def follow(settings: WatchSettings, observer: Observer, rescan: float) -> None:
    """Tell the daemon what a tree is found to be, until it wants no more. Raises DoesNotAnswerError and OSError.

    The tree is watched, and looked at every `rescan` seconds anyway.
    """
    tree, follower, daemon = settings.path, TreeFollower(settings), link()
    notices: SimpleQueue[tuple[Path, Kind]] = SimpleQueue()

    def notice(path: Path, kind: Kind) -> None:
        # The logs in the tree would wake it for nothing.
        if kind is Kind.SCAN or path.suffix in SUFFIXES or path.name == TRACKER:
            notices.put((path, kind))
            waiting.wake()

    with Waiting() as waiting, DirectoryWatch(notice, observer=observer) as watch:
        waiting.watch(daemon.fileno(), _hung_up)
        reach(tree)
        watch.add(tree, recursive=True)
        daemon.tell(None)  # it answers
        rescan_due = time.monotonic() + rescan
        while True:
            now = time.monotonic()
            while not notices.empty():
                path, kind = notices.get_nowait()
                follower.notice(path, kind, now)
                if path == tree:  # events were lost, or it is another directory
                    rescan_due = now
            reach(tree)
            if now >= rescan_due:
                watch.refresh()
                follower.look_by(now)
                rescan_due = now + rescan
            if (report := follower.turn(now)) is not None:
                daemon.tell(report)
            now = time.monotonic()
            due = follower.next_due(now)
            daemon.rest()
            waiting.wait(min(rescan_due - now, rescan if due is None else due))
            daemon.work()


def _hung_up() -> None:
    raise EOFError
