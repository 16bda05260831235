"""What is so now and needs somebody while it is: by the store, by what the daemon says of itself, and by the disk."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from daemon.core.daemon_record import DaemonRecordError, is_alive, read_daemon_record
from daemon.core.database import StoreError
from daemon.core.event_kinds import EventKind
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import OVER, Job, State
from daemon.face.notify.lasting import Condition, Lasting
from daemon.face.notify.news import OF_NOTICE
from handlers.codes import Code

_NOT_OF_THE_STORE = frozenset({EventKind.FAULT_LASTING, EventKind.DAEMON_DOWN})
_OF_DAEMON = f"{EventKind.FAULT_LASTING}:glmd: "
"""How the keys of those begin that the daemon tells of."""
LEAST_ROOM = 16 << 20
"""Bytes that a disk has to have free: below that, records and the store can hardly be written."""


WAITING = timedelta(minutes=30)
"""How long something has to stand against a job before that is told."""
FAULT = timedelta(minutes=5)
"""How long a fault has to last."""
DOWN = timedelta(minutes=5)
"""How long the daemon has to be gone."""
OPERATOR_AGAIN = timedelta(hours=6)
"""After how long it is told again that processes cannot be ended."""


def of_store(store: ReadStore, known: Mapping[str, Lasting]) -> Iterator[Condition]:
    """Yield what the store tells of; `known` are those of before, of which the notices may last."""
    for job in store.stuck():
        condition = _of_job(EventKind.OPERATOR_NEEDED, job)
        yield replace(condition, again=OPERATOR_AGAIN)
    for job in store.held_up():
        yield replace(_of_job(EventKind.JOB_WAITING, job), after=WAITING)
    lasting = {f"{OF_NOTICE}{number}" for number in store.lasting_notices()}
    yield from (one.condition for key, one in known.items() if key in lasting)


def _of_job(kind: EventKind, job: Job) -> Condition:
    return Condition(f"{kind}:{job.id}", kind, job.reason, job.code, job.id, job.attempt, job.name)


def has_work(store: ReadStore) -> bool:
    """Say whether the daemon is missed while it is not there: jobs are not over, or nights are set."""
    return bool(store.counted()) or store.count(set(State) - OVER) > 0


def of_unreadable_store(error: StoreError, known: Mapping[str, Lasting]) -> Iterator[Condition]:
    """Yield that the store cannot be read, and what it has told before: nobody knows that it is over."""
    yield _fault("store", str(error), Code.STORE_UNUSABLE)
    yield from of_no_store(known)


def of_no_store(known: Mapping[str, Lasting]) -> Iterator[Condition]:
    """Yield what the store has told before, which is not there: it is away with its disk, or was never made."""
    yield from (one.condition for one in known.values() if one.condition.kind not in _NOT_OF_THE_STORE)


def of_disk(root: Path) -> Iterator[Condition]:
    """Yield that the disk of the root is full: the daemon cannot write that down itself."""
    try:
        found = os.statvfs(root)
    except OSError as error:
        yield _fault("root", f"{root}: {error.strerror}", Code.HOST_NOT_THERE)
        return
    free = found.f_bavail * found.f_frsize
    if free < LEAST_ROOM:
        text = f"{root}: its disk is full: {free >> 20} MiB are free; glmd prune --dry-run shows what glmd can remove"
        yield _fault("disk", text, Code.HOST_DISK_FULL)


def of_daemon(root: Root, known: Mapping[str, Lasting], *, has_work: bool) -> Iterator[Condition]:
    """Yield what the daemon says of itself, and that it is gone; `has_work` says that it is missed then.

    While it does not say, what it has said before goes on: nobody knows that it is over.
    """
    before = [one.condition for key, one in known.items() if key.startswith(_OF_DAEMON)]
    try:
        record = read_daemon_record(root)
    except (OSError, DaemonRecordError) as error:
        yield _fault("daemon.json", str(error), Code.DAEMON_RECORD)
        yield from before
        yield from (one.condition for key, one in known.items() if key == EventKind.DAEMON_DOWN)
        return
    if record is None:  # none was ever there, or an older one
        return
    if is_alive(record):
        for fault in record.faults:
            text = f"{fault.what}: {fault.reason}"
            yield replace(_fault(f"glmd: {fault.what}", text, fault.code), since=fault.since)
        return
    yield from before
    if has_work:
        text = "glmd has ended, and no record says why" if record.stopped is None else "glmd was stopped"
        yield Condition(
            EventKind.DAEMON_DOWN,
            EventKind.DAEMON_DOWN,
            text,
            Code.DAEMON_NOT_RUNNING,
            since=record.stopped,
            after=DOWN,
        )


def _fault(what: str, text: str, code: str) -> Condition:
    return Condition(f"{EventKind.FAULT_LASTING}:{what}", EventKind.FAULT_LASTING, text, code, after=FAULT)
