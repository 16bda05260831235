"""The table of transitions is whole and has no dead ends but the final states."""

from daemon.core.states import ACTIVE, OVER, TRANSITIONS, State


def test_every_state_is_in_the_table() -> None:
    """No state can be forgotten."""
    assert set(TRANSITIONS) == set(State)


def test_every_job_can_come_to_an_end() -> None:
    """From each state a final one can be reached."""
    ends = set(OVER)
    for _ in State:
        ends |= {state for state, ways in TRANSITIONS.items() if ways & ends}
    assert ends == set(State)


def test_what_runs_can_fail_and_be_cancelled() -> None:
    """Whatever is being done can go wrong, and can be stopped."""
    for state in ACTIVE:
        assert {State.FAILED, State.CANCELLED} <= TRANSITIONS[state]
