"""When a dropped file may be taken: the time logic alone, without I/O and without a clock."""

from dataclasses import dataclass, replace

from daemon.serve.watch.kind import Kind

OPEN_SETTLE = 60.0
"""Seconds a file that was opened but never seen closed must stay as it is: its close event was lost, or never was one
(truncate, a writer killed with its machine). A writer that pauses for longer is not told from these."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What lstat says of a file; as long as nothing of it changes, the file is taken to be the same."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at a file, and what caused it. Without `facts` it is gone."""

    name: str
    kind: Kind
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class _Tracked:
    facts: Facts
    evidence: Kind
    since: float  # of the last change

    @property
    def open(self) -> bool:
        return self.evidence in {Kind.OPENED, Kind.MODIFIED}


class Settling:
    """Tells which files have settled, from sightings and a monotonic clock that the caller reads (in seconds).

    * A file settles when it was closed, moved in, or never seen open, and then kept size, mtime and inode for `settle`.
    * One that is being written, as far as is known, settles after `open_settle`.
    * Any change, and a close or move even without one, starts the time again. So does another file under its name
      (new inode), of which nothing is known but how it came.
    * A reader does not delay: its opening a file that is whole is no change.
    * Events may be lost or late. Each look's facts are believed over its kind, and what never changes again settles.
    """

    def __init__(self, settle: float, open_settle: float = OPEN_SETTLE) -> None:
        self._settle = settle
        self._open_settle = max(settle, open_settle)
        self._files: dict[str, _Tracked] = {}

    def __len__(self) -> int:
        return len(self._files)

    def see(self, sighting: Sighting, now: float) -> None:
        """Take note of `sighting`, made at `now`."""
        if sighting.facts is None:
            self.forget(sighting.name)
            return
        known = self._files.get(sighting.name)
        if known is None or known.facts.inode != sighting.facts.inode:
            self._files[sighting.name] = _Tracked(sighting.facts, _evidence(Kind.SCAN, sighting.kind), now)
            return
        evidence = _evidence(known.evidence, sighting.kind)
        restarts = sighting.facts != known.facts or sighting.kind in {Kind.MODIFIED, Kind.CLOSED, Kind.MOVED_IN}
        since = now if restarts else known.since
        self._files[sighting.name] = replace(known, facts=sighting.facts, evidence=evidence, since=since)

    def forget(self, name: str) -> None:
        """Stop tracking `name`: it is gone, or taken."""
        self._files.pop(name, None)

    def is_due(self, name: str, now: float) -> bool:
        """Tell whether `name` is tracked and has settled at `now`."""
        return name in self._files and self._when(self._files[name]) <= now

    def due(self, now: float) -> tuple[str, ...]:
        """Return the names that have settled at `now`, in the order in which they did. They stay tracked."""
        settled = sorted((self._when(file), name) for name, file in self._files.items() if self._when(file) <= now)
        return tuple(name for _, name in settled)

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds from `now` the next file settles if nothing happens; None when there is none."""
        if not self._files:
            return None
        return max(0.0, min(self._when(file) for file in self._files.values()) - now)

    def _when(self, file: _Tracked) -> float:
        return file.since + (self._open_settle if file.open else self._settle)


def _evidence(known: Kind, seen: Kind) -> Kind:
    """Return what is known of a file after `seen`, when `known` was known before."""
    match seen:
        case Kind.SCAN | Kind.DELETED:  # deleted, and yet there are facts: the event is about an earlier file
            return known
        case Kind.OPENED if known is not Kind.CREATED:
            return known
        case _:
            return seen
