"""When Slurm is asked again."""

import pytest

from daemon.serve.steps.slurm.queue import LONGEST, PATIENCE, Answer, next_question


@pytest.mark.parametrize(("seconds", "later"), ((0.01, 10.0), (3.0, 3.0 * PATIENCE)), ids=("quick", "busy"))
def test_a_busy_slurm_is_left_alone_for_longer(seconds: float, later: float) -> None:
    """In proportion to what its answer took."""
    assert next_question(Answer(100.0, seconds), 10.0) == 100.0 + later


@pytest.mark.parametrize(("unanswered", "later"), ((1, 10.0), (2, 20.0), (3, 40.0), (4, LONGEST), (5000, LONGEST)))
def test_a_slurm_that_does_not_answer_is_asked_again_soon_and_then_seldom(unanswered: int, later: float) -> None:
    """It is mostly back in some seconds; how long its programs waited in vain says nothing of its load."""
    answer = Answer(100.0, 9.0, unclear="squeue: no answer", unanswered=unanswered)
    assert next_question(answer, 10.0) == 109.0 + later
