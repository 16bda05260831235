"""Promises of daemon.serve.intake.settling."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.serve.intake.settling import Facts, Settling, Sighting
from daemon.serve.watch.kind import Kind

SETTLE, OPEN_SETTLE = 2, 60
SMALL, LARGE, OTHER = Facts(1, 10, 100), Facts(2, 20, 100), Facts(2, 20, 101)


def saw(kind: Kind, facts: Facts | None = SMALL) -> Sighting:
    """Return a sighting of the one file of these tests."""
    return Sighting("a.yaml", kind, facts)


@pytest.fixture
def settling() -> Settling:
    """Return one that has seen nothing."""
    return Settling(SETTLE, OPEN_SETTLE)


@pytest.mark.parametrize("kind", (Kind.CLOSED, Kind.MOVED_IN, Kind.SCAN, Kind.CREATED))
def test_a_file_that_nobody_writes_settles(settling: Settling, kind: Kind) -> None:
    """Closed, moved in, found by the scan, or created without being opened (a hard link): due after `settle`."""
    settling.see(saw(kind), 0)
    assert settling.next_due(0.5) == 1.5
    assert settling.due(1.9) == ()
    assert settling.due(2) == ("a.yaml",)
    assert settling.is_due("a.yaml", 2)


@pytest.mark.parametrize("kinds", ((Kind.CREATED, Kind.OPENED), (Kind.CREATED, Kind.OPENED, Kind.MODIFIED)))
def test_a_file_that_is_open_is_not_taken(settling: Settling, kinds: tuple[Kind, ...]) -> None:
    """A writer that pauses is waited for, much longer than for a file that is closed."""
    for kind in kinds:
        settling.see(saw(kind), 0)
    assert settling.next_due(0) == OPEN_SETTLE
    assert settling.due(59) == ()
    settling.see(saw(Kind.CLOSED), 59)
    assert settling.due(60) == ()
    assert settling.due(61) == ("a.yaml",)


def test_a_file_whose_close_was_lost_is_taken_in_the_end(settling: Settling) -> None:
    """Otherwise a lost event would leave it there for ever."""
    settling.see(saw(Kind.MODIFIED), 5)
    assert settling.due(65) == ("a.yaml",)


def test_writing_again_after_the_close_is_seen(settling: Settling) -> None:
    """A tool that writes in two goes is waited for twice."""
    settling.see(saw(Kind.CLOSED), 0)
    settling.see(saw(Kind.MODIFIED, LARGE), 1)
    assert settling.due(10) == ()
    settling.see(saw(Kind.CLOSED, LARGE), 10)
    assert settling.due(12) == ("a.yaml",)


def test_a_scan_sees_a_writer_whose_events_are_lost(settling: Settling) -> None:
    """Size or mtime that differ from the last look start the time again."""
    settling.see(saw(Kind.SCAN), 0)
    settling.see(saw(Kind.SCAN, LARGE), 1)
    assert settling.due(2) == ()
    assert settling.due(3) == ("a.yaml",)


def test_looking_at_a_file_does_not_delay_it(settling: Settling) -> None:
    """Neither the scan nor a reader restarts the time."""
    settling.see(saw(Kind.CLOSED), 0)
    settling.see(saw(Kind.SCAN), 1)
    settling.see(saw(Kind.OPENED), 1)
    assert settling.due(2) == ("a.yaml",)


@pytest.mark.parametrize("after", (Kind.MOVED_IN, Kind.SCAN))
@pytest.mark.parametrize("before", (Kind.CLOSED, Kind.MODIFIED))
def test_a_replaced_file_starts_anew(settling: Settling, before: Kind, after: Kind) -> None:
    """Another inode under the name is another file: neither its predecessor's time nor its open writer counts."""
    settling.see(saw(before, LARGE), 0)
    settling.see(saw(after, OTHER), 1.5)
    assert settling.due(3) == ()
    assert settling.due(3.5) == ("a.yaml",)


@pytest.mark.parametrize("kind", (Kind.DELETED, Kind.SCAN))
def test_a_file_that_is_gone_is_forgotten(settling: Settling, kind: Kind) -> None:
    """Whatever it was that led to the look."""
    settling.see(saw(Kind.CLOSED), 0)
    settling.see(saw(kind, None), 1)
    assert len(settling) == 0
    assert settling.due(100) == ()
    assert settling.next_due(100) is None


def test_a_late_deletion_says_nothing_of_the_file_that_is_there_now(settling: Settling) -> None:
    """Removed and dropped again before the event was read: the writer who has the new one open is not forgotten."""
    settling.see(saw(Kind.MODIFIED), 0)
    settling.see(saw(Kind.DELETED), 0)
    assert settling.due(10) == ()


def test_the_first_to_settle_comes_first(settling: Settling) -> None:
    """Jobs queue in the order in which their files became whole."""
    settling.see(Sighting("late", Kind.CLOSED, SMALL), 2)
    settling.see(Sighting("early", Kind.CLOSED, SMALL), 1)
    assert settling.due(10) == ("early", "late")


@dataclass
class Truth:
    """What a test knows of a file that Settling is told of."""

    facts: Facts
    changed: int  # when
    written: bool  # into, and not closed since


NAMES = ("a", "b")
FACTS = st.none() | st.builds(Facts, st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))
EVENTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(NAMES), st.sampled_from(Kind), FACTS), max_size=40)


@given(EVENTS)
def test_whatever_happens_nothing_is_taken_early_and_nothing_is_forgotten(
    events: list[tuple[int, str, Kind, Facts | None]],
) -> None:
    """Any events in any order: no file is due before `settle` since its last change, and all that stay become due."""
    settling, truth, now = Settling(SETTLE, OPEN_SETTLE), dict[str, Truth](), 0
    for pause, name, kind, facts in events:
        for now in range(now, now + pause + 1):  # noqa: B020 - the clock goes on from where it is
            check(settling, truth, now)
        settling.see(Sighting(name, kind, facts), now)
        known = truth.get(name)
        if facts is None:
            truth.pop(name, None)
        elif known is None or known.facts.inode != facts.inode:
            truth[name] = Truth(facts, now, kind is Kind.MODIFIED)
        else:
            closed = kind in {Kind.CLOSED, Kind.MOVED_IN, Kind.CREATED}
            changed = now if facts != known.facts or kind is Kind.MODIFIED else known.changed
            truth[name] = Truth(facts, changed, kind is Kind.MODIFIED or (known.written and not closed))
        check(settling, truth, now)
    assert set(settling.due(now + OPEN_SETTLE)) == set(truth)


def check(settling: Settling, truth: dict[str, Truth], now: int) -> None:
    """Compare what is due at `now` with what may be."""
    due = settling.due(now)
    for name in due:
        assert now >= truth[name].changed + (OPEN_SETTLE if truth[name].written else SETTLE)
        assert settling.is_due(name, now)
    wait = settling.next_due(now)
    assert (wait == 0) == bool(due)
    assert (wait is None) == (not truth)
    if wait:
        assert settling.due(now + wait)
