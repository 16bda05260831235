"""What is asked for all jobs at once, and when again."""

from dataclasses import dataclass, field

import pytest

from daemon.serve.steps.slurm.queue import LONGEST, PATIENCE, Answer, ask, next_question
from handlers.slurm.calling import UnclearError
from handlers.slurm.client import SlurmClient
from handlers.slurm.queue import Row


@dataclass(frozen=True)
class Slurm(SlurmClient):
    """A Slurm with these jobs, of whose nodes n2 is down."""

    rows: tuple[Row, ...] = ()
    asked: list[str] = field(default_factory=list)
    unclear: str = ""

    def jobs(self) -> tuple[Row, ...]:
        """Return them."""
        return self.rows

    def up_for(self) -> float:
        """Return a day."""
        return 86400.0

    def down(self) -> dict[str, str]:
        """Return which nodes are down."""
        self.asked.append("down")
        if self.unclear:
            raise UnclearError(self.unclear)
        return {"n2": "Not responding"}


def row(name: str, state: str, reason: str) -> Row:
    """Return a job on two nodes."""
    return Row("7", state, reason, "N/A", "n[1-2]", name)


@pytest.mark.parametrize(("state", "reason"), (("NODE_FAIL", "NodeDown"), ("COMPLETING", "NodeDown")))
def test_which_nodes_are_down_is_asked_where_a_job_of_glmds_has_lost_one(state: str, reason: str) -> None:
    """Of all nodes, which is much in a large cluster: so not else, and not for others' jobs."""
    slurm = Slurm(rows=(row("glmd-0123abcd-0001-1-train", state, reason),))
    assert ask(slurm).down == {"n2": "Not responding"}
    slurm = Slurm(rows=(row("another", state, reason), row("glmd-0123abcd-0001-1-train", "RUNNING", "None")))
    assert ask(slurm).down == {}
    assert slurm.asked == []


def test_half_an_answer_is_none() -> None:
    """Else an attempt would be over, and nobody would know which node it was."""
    slurm = Slurm(
        rows=(row("glmd-0123abcd-0001-1-train", "NODE_FAIL", "NodeDown"),), unclear="scontrol: no answer in 30 s"
    )
    answer = ask(slurm)
    assert (answer.unclear, dict(answer.rows)) == ("scontrol: no answer in 30 s", {})


@pytest.mark.parametrize(("seconds", "later"), ((0.01, 10.0), (3.0, 3.0 * PATIENCE)), ids=("quick", "busy"))
def test_a_busy_slurm_is_left_alone_for_longer(seconds: float, later: float) -> None:
    """In proportion to what its answer took."""
    assert next_question(Answer(100.0, seconds), 10.0) == 100.0 + later


@pytest.mark.parametrize(("unanswered", "later"), ((1, 10.0), (2, 20.0), (3, 40.0), (4, LONGEST), (5000, LONGEST)))
def test_a_slurm_that_does_not_answer_is_asked_again_soon_and_then_seldom(unanswered: int, later: float) -> None:
    """It is mostly back in some seconds; how long its programs waited in vain says nothing of its load."""
    answer = Answer(100.0, 9.0, unclear="squeue: no answer", unanswered=unanswered)
    assert next_question(answer, 10.0) == 109.0 + later
