"""Promises of daemon.core.wanted_jobs and of the read that uses it: of all jobs the wanted ones, in pages."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.core.wanted_jobs import FoundJobs, WantedJobs


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store of twelve jobs, of which every third was rejected."""
    path = tmp_path / "glmd.db"
    with Store.open(path) as opened:
        for number in range(1, 13):
            rejected = (State.REJECTED, f"line {number}: 100% of a_b") if number % 3 == 0 else (State.QUEUED, "")
            opened.add(NewJob(f"claim{number}", f"run{number}", f"{number:064x}", prefix="glm"), *rejected)
    return path


def found(
    store: Path,
    size: int = 5,
    *,
    before: int | None = None,
    after: int | None = None,
    states: frozenset[State] = frozenset(),
    text: str = "",
) -> FoundJobs:
    """Return a page."""
    with ReadStore.open(store) as opened:
        return opened.wanted(WantedJobs(states, text), size, before=before, after=after)


def numbers(page: FoundJobs) -> list[int]:
    """Return which jobs a page has."""
    return [job.id for job in page.jobs]


def test_pages_go_from_the_newest_to_the_oldest_and_back(store: Path) -> None:
    """Each job is on one page, whichever way they are turned."""
    first = found(store)
    second = found(store, before=first.older)
    third = found(store, before=second.older)
    assert [numbers(page) for page in (first, second, third)] == [[12, 11, 10, 9, 8], [7, 6, 5, 4, 3], [2, 1]]
    assert (first.newer, third.older) == (None, None)
    assert found(store, after=third.newer) == second
    assert found(store, after=second.newer) == first


def test_a_page_that_reaches_the_newest_is_whole(store: Path) -> None:
    """Who turns back from a page in the middle does not end at three jobs."""
    assert found(store, after=9) == found(store)


def test_a_last_page_that_is_full_says_that_it_is_the_last(store: Path) -> None:
    """A link to an empty page would be none."""
    assert found(store, 4, before=5).older is None
    assert found(store, 3, states=frozenset({State.REJECTED}), before=12).older is None


@pytest.mark.parametrize("before", (1, -5, 0))
def test_before_all_jobs_there_is_nothing_but_newer_ones(store: Path, before: int) -> None:
    """An address may say anything."""
    page = found(store, before=before)
    assert page.jobs == ()
    assert page.older is None
    assert page.newer is not None


def test_states_are_told_from_each_other(store: Path) -> None:
    """One, or several."""
    assert numbers(found(store, states=frozenset({State.REJECTED}))) == [12, 9, 6, 3]
    assert numbers(found(store, states=frozenset({State.REJECTED, State.QUEUED}))) == [12, 11, 10, 9, 8]
    assert numbers(found(store, states=frozenset({State.DONE}))) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    (
        ("run12", [12]),
        ("RUN12", [12]),
        ("LINE 9", [9]),
        ("100%", [12, 9, 6, 3]),
        ("0%1", []),
        ("a_b", [12, 9, 6, 3]),
        ("a.b", []),
        ("n_7", []),
        ("\\", []),
        ("' OR 1=1 --", []),
        ("7", [7]),
        ("  run7 ", [7]),
        ("9" * 90, []),
        ("x" * 5000, []),
        ("²", []),
    ),
)
def test_what_is_typed_is_found_as_it_is_typed(store: Path, text: str, wanted: list[int]) -> None:
    """In names and reasons, in either case, or as a number; signs that SQL knows are letters as all others."""
    assert numbers(found(store, text=text)) == wanted


def test_rows_that_say_nothing_take_no_page_away(store: Path) -> None:
    """The page goes on behind them."""
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE jobs SET devices = 'x' WHERE id > 7")
    page = found(store)
    assert page.jobs == ()
    assert numbers(found(store, before=page.older)) == [7, 6, 5, 4, 3]


def test_a_page_is_read_by_an_index(store: Path) -> None:
    """Of a hundred thousand jobs, too: from the newest on, or by state; nothing is sorted for it."""
    asked: list[str] = []
    with ReadStore.open(store) as opened:
        opened._connection.set_trace_callback(asked.append)
        opened.wanted(WantedJobs(), 5)
        opened.wanted(WantedJobs(frozenset({State.REJECTED})), 2, before=10)
        opened.wanted(WantedJobs(frozenset({State.REJECTED})), 2, after=2)
        opened._connection.set_trace_callback(None)
        plans = [
            (step, statement)
            for statement in asked
            for *_, step in opened._connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]
    assert len(asked) == 8
    assert [plan for plan in plans if not plan[0].startswith("SEARCH")] == []


def test_histories_are_those_of_the_jobs(store: Path) -> None:
    """By number; one that is not there has none."""
    with ReadStore.open(store) as opened:
        found = opened.histories([1, 3, 99])
        assert found == {1: opened.history(1), 3: opened.history(3)}
    assert [step.state for step in found[3]] == [State.REJECTED]
