"""What goes on for a while is told once it has lasted so long, again while it lasts, and when it is over."""

from datetime import UTC, datetime, timedelta

from daemon.core.event_kinds import EventKind
from daemon.face.notify.lasting import Condition, Lasting, look

NOW = datetime(2026, 11, 29, 2, 40, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STUCK = Condition("operator.needed:42", EventKind.OPERATOR_NEEDED, "pid 7 is left", job=42, again=360 * MINUTE)
FULL = Condition("fault.lasting:disk", EventKind.FAULT_LASTING, "no room", after=5 * MINUTE)


def test_a_fault_that_passes_soon_is_never_told() -> None:
    """Nobody is woken for what was gone within its five minutes, nor told that it is over."""
    known, told = look({}, [FULL], NOW)
    assert told == []
    assert look(known, [], NOW + 4 * MINUTE) == ({}, [])


def test_a_fault_is_told_once_and_so_is_its_end() -> None:
    """Each change is told once, however often it is looked."""
    known: dict[str, Lasting] = {}
    told = []
    for minute in range(20):
        known, events = look(known, [FULL] if minute < 10 else [], NOW + minute * MINUTE)
        told += [(minute, event.is_over) for event in events]
    assert told == [(5, False), (10, True)]


def test_what_needs_an_operator_is_told_again_every_six_hours() -> None:
    """Each time has a key of its own, or it would be taken for one that was told before."""
    known: dict[str, Lasting] = {}
    told = []
    for hour in range(13):
        known, events = look(known, [STUCK], NOW + hour * 60 * MINUTE)
        told += [(hour, event.key) for event in events]
    assert [hour for hour, _ in told] == [0, 6, 12]
    assert len({key for _, key in told}) == 3


def test_the_same_fault_later_is_another() -> None:
    """What comes back after it was over is told again, under another key."""
    known, first = look({}, [STUCK], NOW)
    known, _ = look(known, [], NOW + MINUTE)
    _, second = look(known, [STUCK], NOW + 2 * MINUTE)
    assert first[0].key != second[0].key


def test_what_the_daemon_has_known_for_longer_counts_from_then() -> None:
    """The fault's own beginning is known: who starts late tells it at once."""
    since = NOW - 10 * MINUTE
    _, told = look({}, [Condition("f", EventKind.FAULT_LASTING, "no room", since=since, after=5 * MINUTE)], NOW)
    assert [event.at for event in told] == [NOW]


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    """A beginning that lies in the future is now, and what was told last then is told again after its time."""
    known, _ = look({}, [FULL], NOW + 1000 * MINUTE)
    known, told = look(known, [FULL], NOW)
    assert told == []
    known, told = look(known, [FULL], NOW + 5 * MINUTE)
    assert len(told) == 1


def test_the_text_is_that_of_now() -> None:
    """What is told of a long fault is what is so now, not how it began."""
    known, _ = look({}, [FULL], NOW)
    worse = Condition(FULL.key, FULL.kind, "no room, and no inodes", after=FULL.after)
    _, told = look(known, [worse], NOW + 5 * MINUTE)
    assert [event.text for event in told] == ["no room, and no inodes"]
