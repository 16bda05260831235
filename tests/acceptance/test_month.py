"""A month of nights in a minute: a daemon whose wall clock the test sets, real shims, the light stand-in for ranks.

Two cycles are due every night. Some nights a training fails, some it comes to NaN, once the one before is not over, and
for two the host is down. Whatever happens: each night is accounted for, and `latest` is never a bad output.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.night_hours import DEFAULT, NightHours
from daemon.core.states import Job, State
from daemon.face.audit import check_state
from daemon.face.digest import digest
from daemon.face.needs import Kind
from daemon.face.nights import Mark, Run
from handlers.run_names import time_of
from tests.acceptance.month import CYCLES, Month, known_month

NIGHTS = 30
BEFORE = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=NIGHTS + 1)
"""The day before the first night: jobs say by the real clock when they came, and that is after their nights."""
BIG_FAILS = frozenset({4, 9, 22})
BOTH_FAIL = frozenset({17})
SMALL_DIVERGES = frozenset({6, 7, 19})
HANGS = 25
"""The night whose trainings are not over when the next one comes."""
DOWN = (12, 13)
"""Nights for which the host is down; in the morning after, the newer one is caught up."""


def at(night: int, hour: int = 2) -> datetime:
    """Return a time of a night, from 1; runs are due at two."""
    return BEFORE + timedelta(days=night, hours=hour)


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    """Return a root with two cycles of which the daemon knows, and no night yet."""
    with known_month(tmp_path, BEFORE) as month:
        yield month


def test_a_month_of_nights(month: Month) -> None:
    """Each night is accounted for, `latest` is never a bad output, and root and store agree in the end."""
    for night in range(1, NIGHTS + 1):
        go_through(month, night)
        found = month.latest()
        assert all(map(wanted_output, found)), f"night {night}: latest is {found}"
        assert night < 2 or len(found) == len(CYCLES)
    month.let_it_be(at(NIGHTS, 12), lambda: are_all_measured(month), "it is kept of each job what it came to")
    assert month.stage.stop()
    assert month.stage.faults == []
    for night in range(1, NIGHTS + 1):
        runs = month.runs(night)
        for name in CYCLES:
            assert mark_of(runs, name) is wanted(name, night), (night, runs.get(name))
    assert check_state(month.root) == ()
    needs_of_the_last_nights(month)


def go_through(month: Month, night: int) -> None:
    """Let a night go as it is to go."""
    if night in DOWN:
        assert month.stage.stop()
        month.stage.has_daemon = False
        return
    month.stage.has_daemon = True
    if night - 1 in DOWN:  # the host is up again on the day before
        month.play()
        month.let_it_be(
            at(night - 1, 9), lambda: month.are_over(night - 1), "the newer one that was missed is caught up"
        )
    fails = {"STANDIN_FAIL": "0" if night in BOTH_FAIL else "1"} if night in BIG_FAILS | BOTH_FAIL else {}
    hangs = {"STANDIN_GATE": str(month.gate)} if night == HANGS else {}
    month.play(lost=night in SMALL_DIVERGES, **fails, **hangs)
    if night == HANGS:
        month.let_it_be(at(night), lambda: len(month.runs(night)) == len(CYCLES), "both have begun")
    elif night == HANGS + 1:
        month.let_it_be(at(night), lambda: month.are_counted(night), "the next ones are left out")
        month.gate.touch()
        month.let_it_be(at(night, 9), lambda: month.are_over(HANGS), "the night before is over")
    else:
        month.let_it_be(at(night), lambda: month.are_over(night), f"night {night} is over")


def wanted_output(job: Job) -> bool:
    """Say whether `latest` may lead to what a job has merged."""
    due = time_of(job.name)
    assert due is not None
    diverged = job.cycle == "small" and (due - BEFORE).days in SMALL_DIVERGES
    return job.state is State.DONE and not job.code and not diverged


def wanted(cycle: str, night: int) -> Mark:
    """Return what a night is to have come to."""
    if night == HANGS + 1:
        return Mark.SKIPPED
    if night == DOWN[0]:
        return Mark.MISSED
    if night == DOWN[1]:
        return Mark.LATE
    if night in BOTH_FAIL or (cycle == "big" and night in BIG_FAILS):
        return Mark.FAILED
    if cycle == "small" and night in SMALL_DIVERGES:
        return Mark.FAILED  # it is ended before it is merged
    return Mark.DONE


def mark_of(runs: dict[str, Run], cycle: str) -> Mark | None:
    """Return what a cycle's run came to; None where nothing is known of one."""
    return runs[cycle].mark if cycle in runs else None


def are_all_measured(month: Month) -> bool:
    """Say whether the store has of each job what it came to."""
    over = [job.id for job in month.stage.jobs() if job.state.is_over]
    with month.store() as store:
        return len(store.results(over)) == len(over)


def needs_of_the_last_nights(month: Month) -> None:
    """See that what went wrong needs nobody any more, once a later night was done; and that losses are there."""
    with month.store() as store:
        hours = NightHours.parse(DEFAULT)
        for night in range(1, NIGHTS + 1):
            told = digest(store, at(night).date(), hours, at(NIGHTS, 12))
            assert [need.kind for need in told.needs if need.kind is not Kind.OPERATOR] == [], f"night {night}"
        (one,) = [told for told in digest(store, at(2).date(), hours, at(NIGHTS)).runs if told.run.cycle == "big"]
    assert one.run.result is not None
    assert one.run.result.final_loss == pytest.approx(6.85, abs=0.01)
    assert one.change == pytest.approx(0)
    assert json.loads(json.dumps(one.as_json()))["mark"] == Mark.DONE
