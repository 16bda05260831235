"""Looking at a root until what is only in motion has come to rest."""

import sqlite3
import time
from collections.abc import Iterator
from functools import partial

from daemon.faults import may_pass
from daemon.root import Root
from daemon.state_check.disagreement import Disagreement
from daemon.state_check.job_rules import Look, job_disagreements, needs_operator
from daemon.state_check.ledger import damaged, read_ledger
from daemon.state_check.ledger_rules import ledger_disagreements
from daemon.state_check.output_rules import latest_disagreements, output_disagreements
from daemon.state_check.place_rules import claimed_tokens, place_disagreements
from daemon.status import Presence, presence
from daemon.store import StoreError

PATIENCE = 5.0
"""Seconds in which a daemon that runs finishes what it is at: longer than it waits for the cause of a shim's death."""
_PAUSE = 0.25


def check_state(root: Root, *, patience: float = PATIENCE) -> tuple[Disagreement, ...]:
    """Return what root and store disagree about.

    While a daemon runs, only what stays wrong for `patience` seconds counts: it moves files and rows one by one. Raises
    StoreError where there is no store, or it cannot be read now, and OSError.
    """
    is_up = presence(root.path) is not Presence.ABSENT
    found = _look(root, is_up=is_up)
    deadline = time.monotonic() + patience
    while found and is_up and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        again = _look(root, is_up=is_up)
        found = tuple(one for one in found if one in again)
    return found


def _look(root: Root, *, is_up: bool) -> tuple[Disagreement, ...]:
    return tuple(_disagreements(root, is_up=is_up))


def _disagreements(root: Root, *, is_up: bool) -> Iterator[Disagreement]:
    try:
        ledger = read_ledger(root.store)
    except sqlite3.Error as error:
        if may_pass(error):
            raise StoreError(f"{root.store}: it cannot be read now: {error}") from error
        yield damaged(root.store, error)
        return
    yield from ledger.unreadable
    yield from ledger_disagreements(ledger, partial(needs_operator, root=root.path))
    look = Look(root.path, is_up, claimed_tokens(root))
    for row in ledger.rows:
        yield from job_disagreements(row, look)
        yield from output_disagreements(row, root)
    yield from latest_disagreements(root)
    yield from place_disagreements(ledger, root)
