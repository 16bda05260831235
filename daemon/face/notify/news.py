"""What is new in glmd's store, as events: each transition and notice behind those that were read before."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from daemon.core.event_kinds import EventKind
from daemon.core.happened import History, Place, Step
from daemon.core.notices import Notice, NoticeKind
from daemon.core.promotions import says_no
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.face.notify.event import Event
from daemon.face.notify.lasting import Condition

OF_NOTICE = "notice:"
"""How the keys of conditions begin that notices tell of; the notice's number follows."""
MOST = 1000
"""Rows that are read at a time."""

_OF_STATE = {
    State.FAILED: EventKind.JOB_FAILED,
    State.REJECTED: EventKind.JOB_REJECTED,
    State.CANCELLED: EventKind.JOB_CANCELLED,
}
_OF_NOTICE = {
    NoticeKind.NIGHTLY_SKIPPED: EventKind.NIGHTLY_MISSED,
    NoticeKind.NIGHTLY_FAILED: EventKind.NIGHTLY_MISSED,
    NoticeKind.NIGHTLY_OVERDUE: EventKind.NIGHTLY_MISSED,
    NoticeKind.NIGHTLY_LATE: EventKind.NIGHTLY_LATE,
    NoticeKind.DISK_LOW: EventKind.DISK_LOW,
}


@dataclass(frozen=True)
class News:
    """What was found, and up to where."""

    events: tuple[Event, ...] = ()
    conditions: tuple[Condition, ...] = ()
    """What the notices among them tell of that may pass."""
    places: dict[History, Place] = field(default_factory=dict)
    is_all: bool = True
    """Whether nothing is left to be read."""


def news(store: ReadStore, places: Mapping[History, Place | None]) -> News:
    """Return what comes behind `places`; of a history without one nothing, for it was not told of before.

    What became of nights is in the notices, which the daemon writes in one transaction with it.
    """
    found = {history: _place(store, history, places[history]) for history in History}
    steps = store.steps_after(found[History.TRANSITIONS], MOST)
    notices = store.notices_after(found[History.NOTICES], MOST)
    for history, rows in ((History.TRANSITIONS, steps), (History.NOTICES, notices)):
        if rows:
            found[history] = rows[-1][0]
    events = [event for _, step in steps if step is not None for event in _of_step(step)]
    known = [notice for _, notice in notices if notice is not None]
    lasting = store.lasting_notices()
    events += [_of_notice(notice) for notice in known if not _may_pass(notice, lasting)]
    return News(
        events=tuple(sorted(events, key=lambda event: event.at)),
        conditions=tuple(_condition(notice) for notice in known if _may_pass(notice, lasting)),
        places={history: place for history, place in found.items() if place != places[history]},
        is_all=max(len(steps), len(notices)) < MOST,
    )


def _place(store: ReadStore, history: History, place: Place | None) -> Place:
    if place is None:
        return store.newest(history)
    # In a store of before, as after `glmd restore`, numbers are given again: what is later was not told.
    return place if store.is_there(history, place) else store.last_before(history, place.at)


def _of_step(step: Step) -> Iterator[Event]:
    kind = _OF_STATE.get(step.state)
    if step.state is State.DONE:
        kind = EventKind.JOB_NOT_PROMOTED if says_no(step.code) else EventKind.JOB_DONE
    elif step.before is State.TRAINING and step.state in {State.TRAINING, State.SUBMITTED}:
        kind = EventKind.JOB_RESUMED
    if kind is not None:
        key = f"transition:{step.number}@{step.at.isoformat()}"
        yield Event(kind, key, step.at, step.reason, step.code, step.job, step.attempt, step.name)


def _may_pass(notice: Notice, lasting: Collection[int]) -> bool:
    """Say whether it lasts, and that it has passed is worth a word."""
    return notice.id in lasting and notice.kind is not NoticeKind.NIGHTLY_LATE


def _of_notice(notice: Notice) -> Event:
    key = f"notice:{notice.id}@{notice.at.isoformat()}"
    return Event(_OF_NOTICE[notice.kind], key, notice.at, notice.text, "", notice.job, None, notice.cycle)


def _condition(notice: Notice) -> Condition:
    key = f"{OF_NOTICE}{notice.id}"
    return Condition(key, _OF_NOTICE[notice.kind], notice.text, job=notice.job, name=notice.cycle, since=notice.at)
