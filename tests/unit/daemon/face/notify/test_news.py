"""What is new in the store becomes events: each once, in order, also after the store was put back."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.event_kinds import EventKind
from daemon.core.happened import START, History, Place
from daemon.core.night_runs import NightRun, Outcome
from daemon.core.notices import Notice, NoticeKind
from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.face.notify import news as news_module
from daemon.face.notify.event import Event
from daemon.face.notify.news import News, news
from handlers.codes import Code

BEGINNING: dict[History, Place | None] = dict.fromkeys(History, START)
NOW = datetime(2026, 11, 29, 2, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    with Store.open(tmp_path / "glmd.db") as found:
        yield found


def add(store: Store, name: str = "glm", *states: State) -> Job:
    """Add a job that has gone through `states`."""
    job = store.add(NewJob(f"claim {store.highest()}", name, prefix="glm-6b"))
    for state in states:
        job = store.move(job, state)
    return job


def read(store: Store, places: dict[History, Place | None]) -> News:
    """Return what is new, and go on behind it."""
    with ReadStore.open(store.path) as reading:
        found = news(reading, places)
    places |= found.places
    return found


def kinds(events: tuple[Event, ...]) -> list[tuple[EventKind, int | None]]:
    """Return what happened to which job."""
    return [(event.kind, event.job) for event in events]


def test_each_end_is_one_event(store: Store) -> None:
    """Also one that came and was made up for between two looks."""
    training = (State.PREPARING, State.TRAINING)
    failed = add(store, "a", *training)
    store.move(failed, State.FAILED, "rank 3: no memory", Code.RANK_DEVICE_MEMORY)
    done = add(store, "b", *training, State.MERGING)
    store.move(done, State.DONE)
    kept_back = add(store, "c", *training, State.MERGING)
    store.move(kept_back, State.DONE, "the loss rose", Code.GATE_LOSS)
    add(store, "d", State.CANCELLED)
    store.add(NewJob("claim e", "e"), State.REJECTED, "not a YAML")
    found = read(store, dict(BEGINNING)).events
    assert kinds(found) == [
        (EventKind.JOB_FAILED, 1),
        (EventKind.JOB_DONE, 2),
        (EventKind.JOB_NOT_PROMOTED, 3),
        (EventKind.JOB_CANCELLED, 4),
        (EventKind.JOB_REJECTED, 5),
    ]
    assert (found[0].text, found[0].code, found[0].name) == ("rank 3: no memory", Code.RANK_DEVICE_MEMORY, "a")


def test_an_attempt_that_goes_on_is_resumed_and_no_failure(store: Store) -> None:
    """A retry by hand is neither."""
    job = add(store, "a", State.PREPARING, State.TRAINING)
    job = store.move(job, State.TRAINING, "resumed", attempt=2)
    job = store.move(job, State.FAILED)
    for state in (State.QUEUED, State.PREPARING, State.TRAINING):
        job = store.move(job, state)
    found = read(store, dict(BEGINNING)).events
    assert [kind for kind, _ in kinds(found)] == [EventKind.JOB_RESUMED, EventKind.JOB_FAILED]


def test_one_that_waits_for_nodes_again_is_resumed(store: Store) -> None:
    """Through Slurm the next attempt is submitted first; that it trains then is no news."""
    job = add(store, "a", State.PREPARING, State.SUBMITTED, State.TRAINING)
    job = store.move(job, State.SUBMITTED, "resumed from 17_4 after: a node was lost", attempt=2)
    store.move(job, State.TRAINING)
    (found,) = read(store, dict(BEGINNING)).events
    assert (found.kind, found.text) == (EventKind.JOB_RESUMED, "resumed from 17_4 after: a node was lost")


def test_it_goes_on_where_it_was(store: Store) -> None:
    """What was read is not read again, and nothing between two reads is lost."""
    places = dict(BEGINNING)
    add(store, "a", State.CANCELLED)
    assert len(read(store, places).events) == 1
    assert read(store, places).events == ()
    add(store, "b", State.CANCELLED)
    assert kinds(read(store, places).events) == [(EventKind.JOB_CANCELLED, 2)]


def test_a_root_with_a_past_is_not_told(store: Store) -> None:
    """Who switches notifications on is not told of the last year."""
    add(store, "a", State.CANCELLED)
    store.add_notice(Notice(NoticeKind.DISK_LOW, "no room", NOW))
    places: dict[History, Place | None] = dict.fromkeys(History)
    assert read(store, places) == News((), (), places)
    add(store, "b", State.CANCELLED)
    assert kinds(read(store, places).events) == [(EventKind.JOB_CANCELLED, 2)]


def test_a_flood_is_read_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece says whether there is more."""
    monkeypatch.setattr(news_module, "MOST", 7)
    for number in range(10):
        add(store, f"job{number}", State.CANCELLED)
    places, found, reads = dict(BEGINNING), list[Event](), 0
    while True:
        piece, reads = read(store, places), reads + 1
        found += piece.events
        if piece.is_all:
            break
    assert [event.job for event in found] == list(range(1, 11))
    assert reads == 3


def test_a_store_that_was_put_back_is_told_on(store: Store, tmp_path: Path) -> None:
    """After `glmd restore` numbers are given again: what came since is told, and what was told before is not."""
    add(store, "a", State.CANCELLED)
    old = tmp_path / "old.db"
    with ReadStore.open(store.path):
        shutil.copy(store.path, old)
        shutil.copy(f"{store.path}-wal", f"{old}-wal")
    add(store, "b", State.CANCELLED)
    places = dict(BEGINNING)
    assert len(read(store, places).events) == 2
    with Store.open(old) as restored:
        assert read(restored, dict(places)).events == ()
        add(restored, "c", State.CANCELLED)
        assert [event.name for event in read(restored, places).events] == ["c"]


def test_notices_that_last_are_conditions_and_others_are_told_at_once(store: Store) -> None:
    """A night that was left out while nobody looked is told, though it has passed."""
    store.keep_night(NightRun("glm", NOW, NOW, Outcome.CAUGHT_UP))
    store.add_notice(Notice(NoticeKind.NIGHTLY_OVERDUE, "no success", NOW, "glm", NOW, 7))
    store.add_notice(Notice(NoticeKind.DISK_LOW, "no room", NOW))
    store.pass_notices(NoticeKind.DISK_LOW, NOW + timedelta(hours=1))
    found = read(store, dict(BEGINNING))
    assert [event.kind for event in found.events] == [EventKind.NIGHTLY_LATE, EventKind.DISK_LOW]
    (condition,) = found.conditions
    assert (condition.kind, condition.name, condition.job) == (EventKind.NIGHTLY_MISSED, "glm", 7)


def test_rows_that_say_nothing_hold_nothing_up(store: Store) -> None:
    """Somebody wrote into the store; what comes behind that is told all the same."""
    add(store, "a", State.CANCELLED)
    store._connection.execute("UPDATE transitions SET state = 'asleep'")
    store._connection.execute("INSERT INTO notices (at, kind, text) VALUES ('never', 'what', '')")
    add(store, "b", State.CANCELLED)
    assert kinds(read(store, dict(BEGINNING)).events) == [(EventKind.JOB_CANCELLED, 2)]
