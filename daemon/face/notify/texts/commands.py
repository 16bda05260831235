"""What to type, by what has happened."""

from daemon.core.event_kinds import EventKind
from daemon.core.states import State
from daemon.face.needs import Kind, commands_for
from daemon.face.notify.event import Event
from daemon.face.notify.texts.facts import Facts

STATES = {
    EventKind.JOB_FAILED: State.FAILED,
    EventKind.JOB_DONE: State.DONE,
    EventKind.JOB_NOT_PROMOTED: State.DONE,
    EventKind.JOB_RESUMED: State.TRAINING,
    EventKind.JOB_REJECTED: State.REJECTED,
    EventKind.JOB_CANCELLED: State.CANCELLED,
}
"""Where a job stood when the event was."""
_NEEDS = {
    EventKind.JOB_FAILED: Kind.FAILED,
    EventKind.JOB_NOT_PROMOTED: Kind.NOT_PROMOTED,
    EventKind.JOB_REJECTED: Kind.REJECTED,
    EventKind.OPERATOR_NEEDED: Kind.OPERATOR,
}
_OF_NO_JOB = {
    EventKind.NIGHTLY_MISSED: "glmd night",
    EventKind.NIGHTLY_LATE: "glmd night",
    EventKind.DISK_LOW: "glmd prune --dry-run",
    EventKind.FAULT_LASTING: "glmd status",
    EventKind.DAEMON_DOWN: "systemctl status glmd",
}


def commands_of(event: Event, facts: Facts) -> tuple[str, ...]:
    """Return what to type, the first one first; where the job has moved on since, only how to look at it."""
    if event.job is None:
        typed = [_OF_NO_JOB[event.kind]] if event.kind in _OF_NO_JOB and not event.is_over else []
        return (*typed, *([f"glmd explain {event.code}"] if typed and event.code else []))
    look = f"glmd status {event.job}"
    need = _NEEDS.get(event.kind)
    if need is None or event.is_over or has_moved_on(event, facts):
        return (look,)
    return tuple(dict.fromkeys((look, *commands_for(need, event.job, event.code))))


def has_moved_on(event: Event, facts: Facts) -> bool:
    """Say whether the job stands elsewhere by now."""
    state = STATES.get(event.kind)
    return state is not None and facts.job is not None and facts.job.state is not state
