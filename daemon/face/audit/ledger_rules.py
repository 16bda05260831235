"""What must be true of the store's rows among themselves."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from daemon.core.states import HOLDING_DEVICES, MAY_HOLD_DEVICES, OVER, TRANSITIONS, Job, State, attempts_more
from daemon.face.audit.disagreement import Disagreement, Kind
from daemon.face.audit.ledger import Ledger, Row

_FIRST = frozenset({State.QUEUED, State.REJECTED})
_AN_OLDER_STORE = "stop glmd and take glmd.db from a backup, or cancel the job and drop its submitted.yaml again"


def history_disagreements(row: Row, store: Path) -> Iterator[Disagreement]:
    """Yield what is wrong with one job's history."""
    if what := _wrong_history(row):
        yield Disagreement(Kind.HISTORY, row.job.id, store, what, _AN_OLDER_STORE)


def ledger_disagreements(ledger: Ledger, waiting: Callable[[Job], bool]) -> Iterator[Disagreement]:
    """Yield what the rows have against each other; `waiting` tells whether a job that is over waits for an operator."""
    yield from _locks(ledger, waiting)
    yield from _claims(ledger)
    yield from _same_bytes(ledger)


def _wrong_history(row: Row) -> str | None:
    job, moves = row.job, row.moves
    if not moves:
        return f"it is {job.state}, and its history has no transition"
    first, last = moves[0], moves[-1]
    if first.state not in _FIRST or first.attempt != 1:
        return f"its history begins with {first.state}, attempt {first.attempt}"
    for one, other in pairwise(moves):
        if other.state not in TRANSITIONS[one.state]:
            return f"it went from {one.state} to {other.state}, which is not an allowed transition"
        if other.attempt - one.attempt not in attempts_more(one.state, other.state):
            return f"it went from attempt {one.attempt} to {other.attempt}"
    if (last.state, last.attempt) != (job.state, job.attempt):
        there = f"{last.state}, attempt {last.attempt}"
        return f"it is {job.state}, attempt {job.attempt}, and its history ends with {there}"
    return None


def _locks(ledger: Ledger, waiting: Callable[[Job], bool]) -> Iterator[Disagreement]:
    locks = ledger.locks()
    for device, number in locks.items():
        job = ledger.readable(number)
        if job is None or (job.state not in MAY_HOLD_DEVICES and not waiting(job)):
            state = f"which is {job.state}" if job else "which is not there"
            what = f"device {device} is held for job {number}, {state}"
            repair = (
                f"make sure that no process is left on device {device} (npu-smi info); stop glmd; "
                f"delete the row from the table device_locks (sqlite3 {ledger.path}); start glmd"
            )
            yield Disagreement(Kind.DEVICE_LOCK_LEFT, number, ledger.path, what, repair)
    for job in ledger.jobs(HOLDING_DEVICES):
        if free := [one for one in job.devices if locks.get(one) != job.id]:
            what = f"it is {job.state}, and does not hold its devices {', '.join(map(str, free))}"
            repair = f"glmd cancel {job.id}, then glmd retry {job.id}: another job could get them"
            yield Disagreement(Kind.DEVICE_NOT_LOCKED, job.id, ledger.path, what, repair)


def _claims(ledger: Ledger) -> Iterator[Disagreement]:
    for claim, jobs in ledger.claims_of_several():
        for extra in jobs[1:]:
            what = f"job {jobs[0]} was made from the same claim {claim}"
            yield Disagreement(Kind.CLAIM_OF_TWO_JOBS, extra, ledger.path, what, f"glmd cancel {extra}")


def _same_bytes(ledger: Ledger) -> Iterator[Disagreement]:
    """Yield the jobs that were added while another one of the same bytes was not over."""
    unfinished: defaultdict[str, set[int]] = defaultdict(set)
    for job, digest, state, is_first in ledger.moves_of_twins():
        others = unfinished[digest]
        if is_first and state == State.QUEUED and others:
            what = f"job {min(others)} was made of the same bytes, and was not over then"
            yield Disagreement(Kind.CLAIMED_TWICE, job, ledger.path, what, f"glmd cancel {job}")
        if state in OVER:
            others.discard(job)
        else:
            others.add(job)
        if not others:
            del unfinished[digest]
