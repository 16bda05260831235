"""Looking at a root until what is only in motion has come to rest."""

import time
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

from daemon.core.backup_record import without_files
from daemon.core.database import DamagedStoreError
from daemon.core.presence import Presence, presence
from daemon.core.root import Root
from daemon.face.audit.disagreement import Disagreement, Kind
from daemon.face.audit.job_rules import Look, needs_operator
from daemon.face.audit.jobs import Progress, jobs_disagreements
from daemon.face.audit.ledger import read_ledger
from daemon.face.audit.ledger_rules import ledger_disagreements
from daemon.face.audit.output_rules import latest_disagreements
from daemon.face.audit.place_rules import claimed_tokens, place_disagreements
from daemon.face.audit.slurm_rules import Queue, queue_disagreements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 5.0
"""Seconds in which a daemon that runs finishes what it is at: longer than it waits for the cause of a shim's death."""
_PAUSE = 0.25


def _untold(done: int, total: int) -> None:
    del done, total


class Part(Enum):
    """A part of the check, which can be done again alone."""

    LEDGER = auto()
    JOBS = auto()
    LATEST = auto()
    PLACES = auto()
    SLURM = auto()


Found = dict[Part, list[Disagreement]]


def _unasked() -> None:
    """Say that nothing is known of Slurm."""


def check_state(
    root: Root, *, patience: float = PATIENCE, progress: Progress = _untold, queue: Queue = _unasked
) -> tuple[Disagreement, ...]:
    """Return what root and store disagree about; `progress` is told how many jobs were looked at, and of how many.

    `queue` asks Slurm what it has, where anything of this root was ever there; by default that is not looked at.
    While a daemon runs, only what stays wrong for `patience` seconds counts: it moves files and rows one by one. Raises
    StoreError where there is no store, or it cannot be read now, and OSError.
    """
    is_up = presence(root.path) is not Presence.ABSENT
    found = _look(root, queue, is_up=is_up, progress=progress)
    deadline = time.monotonic() + patience
    while any(found.values()) and is_up and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        again = _look(root, queue, is_up=is_up, before=found)
        found = {part: [one for one in found[part] if one in again.get(part, ())] for part in found}
    return tuple(one for part in found.values() for one in part)


def _look(
    root: Root, queue: Queue, *, is_up: bool, progress: Progress = _untold, before: Found | None = None
) -> Found:  # fmt: skip
    """Look at everything; or, where that was done `before`, again at what was found to be wrong then."""
    try:
        with read_ledger(root.store) as ledger:
            place = Look(root.path, is_up, claimed_tokens(root), without_files(root.path))
            only = None if before is None else {one.job for one in before[Part.JOBS] if one.job is not None}
            parts: dict[Part, Callable[[], Iterator[Disagreement]]] = {
                Part.LEDGER: lambda: ledger_disagreements(ledger, partial(needs_operator, root=root.path)),
                Part.JOBS: lambda: jobs_disagreements(ledger, place, only, progress),
                Part.LATEST: lambda: latest_disagreements(ledger, root),
                Part.PLACES: lambda: place_disagreements(ledger, root),
                Part.SLURM: lambda: queue_disagreements(ledger, root, queue, is_daemon_up=is_up),
            }
            return {part: list(look()) if before is None or before[part] else [] for part, look in parts.items()}
    except DamagedStoreError as error:
        what = str(error).removeprefix(f"{root.store}: ")
        damage = Disagreement(Kind.UNREADABLE, None, root.store, what, "stop glmd first")
        return {Part.LEDGER: [damage]} | {part: [] for part in Part if part is not Part.LEDGER}
