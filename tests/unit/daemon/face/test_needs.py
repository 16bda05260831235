"""Promises of daemon.face.needs: what needs somebody, and what no longer does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.core.night_runs import Outcome
from daemon.core.states import Job, Source, State
from daemon.face.needs import Kind, need_of_job, need_of_run
from daemon.face.nights import Run
from handlers.codes import Code
from tests.unit.daemon.face.diary import utc

DUE = utc("2026-11-28 02:00")


def job(state: State, code: str = "", number: int = 41) -> Job:
    """Return a job in a state."""
    return Job(number, "glm", state, "why", 1, 0, (0,), "glm", False, DUE, DUE, Source.NIGHT, code)


def run(
    state: State | None, outcome: Outcome = Outcome.DROPPED, *, code: str = "", promoted: bool | None = None
) -> Run:
    """Return a run whose job is in a state, or that has none."""
    of_it = None if state is None else job(state, code)
    return Run("glm", DUE, outcome, of_it, "why", code, None, promoted)


@pytest.mark.parametrize(
    ("one", "kind", "command"),
    (
        (run(State.FAILED, code="rank.EI0006"), Kind.FAILED, "glmd retry 41"),
        (run(State.FAILED, code="training.diverged"), Kind.FAILED, "glmd status 41"),
        (run(State.REJECTED), Kind.REJECTED, "glmd status 41"),
        (run(State.DONE, code="gate.loss", promoted=False), Kind.NOT_PROMOTED, "glmd status 41"),
        (run(None, Outcome.SKIPPED, code=Code.NIGHT_SKIPPED), Kind.SKIPPED, "glmd status"),
        (run(None, Outcome.SKIPPED, code=Code.NIGHT_TEMPLATE), Kind.SKIPPED, "glmd status"),
        (run(None, Outcome.FAILED, code=Code.NIGHT_TEMPLATE), Kind.NOT_DROPPED, "glmd doctor"),
    ),
)
def test_what_went_wrong_and_nobody_meant_needs_you(one: Run, kind: Kind, command: str) -> None:
    """With its reason, and what to type; until a later night of the cycle has made up for it."""
    need = need_of_run(one, [one])
    assert need is not None
    assert (need.kind, need.reason, need.code) == (kind, "why", one.code)
    assert need.commands[0] == command
    assert [f"glmd explain {one.code}"] * bool(one.code) == [word for word in need.commands if "explain" in word]
    for later in (run(State.DONE, promoted=True), run(State.DONE, Outcome.CAUGHT_UP)):
        assert need_of_run(one, [one, replace(later, due=DUE + timedelta(days=1))]) is None
        assert need_of_run(one, [one, replace(later, due=DUE - timedelta(days=1))]) == need
    for later in (run(State.DONE, code="gate.loss", promoted=False), run(State.TRAINING), run(State.FAILED)):
        assert need_of_run(one, [one, replace(later, due=DUE + timedelta(days=1))]) == need


@pytest.mark.parametrize(
    "one",
    (
        run(State.DONE, promoted=True),
        run(State.DONE),
        run(State.DONE, promoted=False),  # it was taken back: somebody has dealt with it
        run(State.DONE, code="promotion.not-newest", promoted=False),
        run(State.CANCELLED, code=Code.JOB_CANCELLED),
        run(State.QUEUED, code="preflight.devices"),
        run(State.TRAINING, Outcome.CAUGHT_UP),
        run(None, Outcome.DROPPED),
        run(None, Outcome.SKIPPED, code="night.unchanged"),
        run(None, Outcome.SKIPPED, code="night.missed"),
    ),
)
def test_what_is_well_or_meant_or_goes_on_needs_nobody(one: Run) -> None:
    """Somebody cancelled it, the settings want it so, or it is not over."""
    assert need_of_run(one, [one]) is None


@pytest.mark.parametrize("state", (State.FAILED, State.DONE, State.CANCELLED))
def test_what_holds_devices_and_is_over_needs_an_operator(state: State) -> None:
    """However it ended."""
    need = need_of_job(job(state), is_stuck=True)
    assert need is not None
    assert (need.kind, need.commands) == (Kind.OPERATOR, ("glmd status 41",))
