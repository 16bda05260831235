"""The outbox loses nothing and tells nothing twice, whoever ends it when."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.event_kinds import EventKind
from daemon.core.happened import History, Place
from daemon.face.notify.event import Event
from daemon.face.notify.lasting import Condition, Lasting
from daemon.face.notify.message import Message, MessageState, Payload
from daemon.face.notify.outbox import Outbox
from daemon.face.notify.outbox_file import NAME, OutboxError

NOW = datetime(2026, 11, 29, 2, 40, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def event(number: int, kind: EventKind = EventKind.JOB_FAILED) -> Event:
    """Return an event with every field."""
    return Event(kind, f"transition:{number}", NOW, "rank 3: 内存不足", "rank.EI0006", number, 2, "glm", is_over=False)


def message(number: int, *, urgent: bool = False, made: datetime = NOW) -> Message:
    """Return a message that was not tried yet."""
    payload = Payload(f"✖ {number}", "text", {"type": "batch", "data": {"n": number}})
    return Message(f"msg_{number}", "team", made, urgent, payload, MessageState.PENDING, 0, made, "")


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """Return an empty one."""
    with Outbox.open(tmp_path) as found:
        yield found


def test_what_was_found_is_there_after_a_restart(outbox: Outbox, tmp_path: Path) -> None:
    """Events, up to where the store was read, what lasts, and which digests were made: in one transaction."""
    lasting = {"f": Lasting(Condition("f", EventKind.FAULT_LASTING, "no room", "host.disk-full"), NOW, 1, NOW)}
    outbox.take({"team": [event(1)]}, {History.TRANSITIONS: Place(7, "t")}, lasting, "2026-11-29")
    with Outbox.open(tmp_path) as again:
        assert again.waiting("team", urgent=False, most=10) == [event(1)]
        assert again.place(History.TRANSITIONS) == Place(7, "t")
        assert again.place(History.NOTICES) is None
        assert again.lasting() == lasting
        assert again.has_digest("2026-11-29")
        assert not again.has_digest("2026-11-30")


def test_what_is_found_again_is_not_told_again(outbox: Outbox) -> None:
    """An event has a key; a destination gets each key once."""
    for _ in range(2):
        outbox.take({"team": [event(1)], "hook": [event(1)]}, {})
    assert len(outbox.waiting("team", urgent=False, most=10)) == 1
    assert len(outbox.waiting("hook", urgent=False, most=10)) == 1


def test_a_transaction_that_fails_leaves_nothing(outbox: Outbox) -> None:
    """The place does not move without the events that were found on the way."""
    broken = Event(EventKind.JOB_DONE, None, NOW)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        outbox.take({"team": [event(1), broken]}, {History.TRANSITIONS: Place(7, "t")})
    assert outbox.place(History.TRANSITIONS) is None
    assert outbox.waiting("team", urgent=False, most=10) == []


def test_a_digest_is_a_message_of_its_own(outbox: Outbox) -> None:
    """What is before it and behind it is told apart, in order."""
    outbox.take({"team": [event(1), event(2), event(3, EventKind.DIGEST), event(4)]}, {})
    told = []
    while events := outbox.waiting("team", urgent=False, most=10):
        told.append([one.job for one in events])
        outbox.drop_events("team", events)
    assert told == [[1, 2], [3], [4]]


def test_events_of_a_message_wait_no_more(outbox: Outbox) -> None:
    """They are sent with it, and known by it."""
    outbox.take({"team": [event(1), event(2)]}, {})
    outbox.put(message(1), outbox.waiting("team", urgent=False, most=10))
    assert outbox.waiting("team", urgent=False, most=10) == []
    assert outbox.to_send("team", urgent=False) == message(1)
    assert outbox.kinds_of(message(1)) == ["job.failed", "job.failed"]
    assert outbox.has_work()
    outbox.tried(message(1), MessageState.SENT, "200 OK", NOW)
    assert not outbox.has_work()


def test_messages_go_out_in_the_order_in_which_they_were_made(outbox: Outbox) -> None:
    """Also where the clock was set back between them; the urgent ones have a queue of their own."""
    outbox.put(message(1, made=NOW), [])
    outbox.put(message(2, made=NOW - 60 * MINUTE), [])
    outbox.put(message(3, urgent=True), [])
    found = outbox.to_send("team", urgent=False)
    assert found is not None
    assert found.id == "msg_1"
    urgent = outbox.to_send("team", urgent=True)
    assert urgent is not None
    assert urgent.id == "msg_3"


def test_a_destination_that_is_gone_gets_nothing_until_somebody_asks(outbox: Outbox) -> None:
    """What was to be sent is dropped; `retry` sends it again, and whatever comes then."""
    outbox.take({"team": [event(1)]}, {})
    outbox.put(message(1), outbox.waiting("team", urgent=False, most=1))
    outbox.take({"team": [event(2)]}, {})
    outbox.is_gone("team", "410 Gone", NOW)
    assert not outbox.has_work()
    assert outbox.gone() == {"team": "410 Gone"}
    assert outbox.retry("team", NOW) == 1
    assert outbox.gone() == {}
    found = outbox.to_send("team", urgent=False)
    assert found is not None
    assert found.id == "msg_1"


def test_what_the_settings_lost_is_told_to_nobody(outbox: Outbox) -> None:
    """Who names it again in a month is not told of this month."""
    outbox.take({"team": [event(1)], "hook": [event(1)]}, {})
    outbox.keep_destinations(["hook"])
    assert outbox.events_waiting() == {"hook": 1}


def test_a_message_that_is_sent_again_gets_its_whole_time(outbox: Outbox) -> None:
    """`retry` begins anew: or it would be given up at its next failure."""
    outbox.put(message(1), [])
    outbox.tried(message(1), MessageState.FAILED, "no answer", NOW)
    later = NOW + timedelta(days=9)
    assert outbox.retry("msg_1", later) == 1
    found = outbox.to_send("team", urgent=False)
    assert found is not None
    assert (found.made, found.due, found.tries) == (later, later, 1)


def test_what_is_long_over_is_forgotten(outbox: Outbox) -> None:
    """It does not grow for ever; what still waits is kept, whatever its age, and so is the place."""
    outbox.take({"team": [event(1), event(2)]}, {History.TRANSITIONS: Place(7, "t")})
    first, second = outbox.waiting("team", urgent=False, most=2)
    outbox.put(message(1), [first])
    outbox.tried(message(1), MessageState.SENT, "", NOW)
    outbox.put(message(2), [second])
    outbox.forget(NOW + timedelta(days=31))
    with closing(sqlite3.connect(outbox.path)) as connection:
        assert connection.execute("SELECT key FROM events").fetchall() == [("transition:2",)]
        assert connection.execute("SELECT id FROM messages").fetchall() == [("msg_2",)]
    assert outbox.place(History.TRANSITIONS) == Place(7, "t")


def test_only_its_owner_reads_it(outbox: Outbox) -> None:
    """Reasons of jobs may hold paths and names."""
    assert outbox.path.stat().st_mode & 0o077 == 0


def test_a_damaged_one_is_refused_by_name(tmp_path: Path) -> None:
    """Nothing is guessed; the message says which file to move away, and what that loses."""
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(OutboxError, match=rf"{NAME}.*move it away"):
        Outbox.open(tmp_path)


def test_one_of_a_newer_glmd_is_left_alone(outbox: Outbox, tmp_path: Path) -> None:
    """It knows not what that says."""
    with closing(sqlite3.connect(outbox.path)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(OutboxError, match="newer glmd"):
        Outbox.open(tmp_path)


def test_who_only_looks_makes_none(tmp_path: Path) -> None:
    """`glmd notify list` in a wrong directory says so."""
    with pytest.raises(OutboxError, match="No such file"):
        Outbox.open(tmp_path, create=False)
    assert not list(tmp_path.iterdir())


def test_how_it_stands(outbox: Outbox) -> None:
    """Each destination is told of, also one that there is nothing for, and the oldest message that was not taken."""
    for number, made in ((1, NOW - 3 * MINUTE), (2, NOW), (3, NOW - 5 * MINUTE)):
        outbox.put(message(number, made=made), [])
    outbox.tried(message(3), MessageState.SENT, "taken", NOW)
    standing = outbox.standing(["team", "hook"])
    assert standing["team"].messages == {"pending": 2, "sent": 1}
    assert standing["team"].oldest_pending == NOW - 3 * MINUTE
    assert (standing["hook"].messages, standing["hook"].oldest_pending) == ({}, None)
