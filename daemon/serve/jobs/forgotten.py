"""Jobs whose directories are there and whose rows are not: the store is an older copy, or was begun again.

Each move of a job is in its events.jsonl. A job is again where these end; where it would hold devices there, in the
queue before: the records of what has run since are read as after any restart, and nothing runs twice.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import ValidationError

from daemon.core.names import digest_of
from daemon.core.root import Root
from daemon.core.states import HOLDING_DEVICES, State, attempts_more
from daemon.core.store import Forgotten, NewJob, Store, Transition
from daemon.serve.jobs.taking_in import MOST_DROPPED, NotTakenInError, content_of, plan_of, source_of, way
from handlers.codes import Code
from handlers.records.checked import Checked
from handlers.records.job_dir import JobDir, is_number
from handlers.units.devices import LIMIT
from handlers.validate.glmd_section import MOST_PRIORITY

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_MOST_EVENTS = 16 << 20
"""Bytes of a job's events."""
_AGAIN = "recovered from its directory: the store is older or new, and did not know this job"


def take_in_forgotten(root: Root, store: Store, besides: Collection[int]) -> None:
    """Add the jobs that have a directory and no row, but for `besides`, which live. Raises OSError."""
    known = store.numbers() | set(besides)
    names = os.listdir(root.jobs)  # noqa: PTH208 - a Path of each takes long, and nobody is served before
    unknown = sorted(name for name in names if (number := _number(name)) and number not in known)
    same = Counter(map(_number, unknown))
    found = [
        _forgotten(JobDir(path))
        for path in map(root.jobs.joinpath, unknown)
        if same[_number(path.name)] == 1 and ((path / "submitted.yaml").exists() or (path / "plan.json").exists())
    ]
    if found:
        store.add_forgotten(found)
        log.warning("jobs_taken_in", path=root.jobs, jobs=[one.number for one in found], reason=_AGAIN)


def _number(name: str) -> int:
    """Return the number of the job whose directory is called `name`; 0 where it is none's."""
    number, _, rest = name.partition("-")
    return int(number) if rest and is_number(number) and number == f"{int(number):04d}" else 0


def _forgotten(directory: JobDir) -> Forgotten:
    events = list(_events(directory.events))
    queued = next((event for event in events if event.get("event") == "job_queued"), {})
    plan = plan_of(directory)
    devices = _devices(queued.get("devices"))
    priority = queued.get("priority")
    history = _history(events)
    reason = history[-1].reason
    if devices is None and plan is not None:
        devices = plan.devices
    if devices is None:
        reason = f"drop {directory.submitted} again: no record has the devices of this job"
        history = [*history[:1], Transition(history[0].at, State.FAILED, 1, reason, Code.JOB_DEVICES_UNKNOWN)]
        log.warning("devices_unknown", path=directory.path, code=Code.JOB_DEVICES_UNKNOWN, reason=reason)
    content = content_of(directory.submitted, MOST_DROPPED)
    digest = digest_of(content) if content is not None else ""
    checked = _checked(directory, digest)
    number, _, name = directory.path.name.partition("-")
    new = NewJob(
        claim=f"taken-in:{directory.path.name}",
        name=name,
        digest=digest,
        priority=priority if type(priority) is int and abs(priority) <= MOST_PRIORITY else 0,
        devices=devices or (),
        prefix=(plan and plan.merge.prefix) or (checked.prefix if checked else ""),
        nodes=checked.nodes if checked else 0,
        ranks=checked.ranks if checked and checked.nodes else 0,
        source=source_of(directory, plan, name),
    )
    full_reason = "; ".join(part for part in (reason, _AGAIN) if part)
    return Forgotten(int(number), new, tuple(history), full_reason, history[-1].code)


def _checked(directory: JobDir, digest: str) -> Checked | None:
    """Return what the check found in the file with this digest; None where that is not known."""
    try:
        checked = Checked.read(directory.checked)
    except (OSError, ValidationError):
        return None
    return checked if checked.digest == digest else None


def _history(events: list[Mapping[str, object]]) -> list[Transition]:
    """Return the way of a job as far as its events tell it and the table allows it, to where it holds no devices."""
    history = [Transition(_time(events[0] if events else {}), State.QUEUED, 1, "")]
    for event in events:
        if event.get("event") == "job_moved":
            history += _steps(history[-1], event)
    while history[-1].state in HOLDING_DEVICES:
        history.pop()
    return history


def _steps(before: Transition, event: Mapping[str, object]) -> Iterator[Transition]:
    """Yield the transitions that lead to where a job was moved, several where events before it are lost."""
    attempt = event.get("attempt")
    try:
        state = State(str(event.get("state")))
        states = (state,) if state is before.state else way(before.state, state)
    except (ValueError, NotTakenInError):
        return
    if type(attempt) is not int or attempt - before.attempt not in attempts_more(before.state, state):
        return
    for one in states:
        fields = event if one is state else {}
        yield Transition(_time(event), one, attempt, _text(fields.get("reason")), _text(fields.get("code")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _events(path: Path) -> Iterator[Mapping[str, object]]:
    for line in (content_of(path, _MOST_EVENTS) or b"").splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event


def _time(event: Mapping[str, object]) -> datetime:
    try:
        return datetime.fromisoformat(str(event.get("timestamp"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)


def _devices(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list) or not all(type(one) is int and 0 <= one < LIMIT for one in value):
        return None
    return tuple(value)
