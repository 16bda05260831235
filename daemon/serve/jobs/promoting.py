"""What becomes of a judged output: `latest` leads to it or not, and its job is done."""

from daemon.core.states import Job, State
from daemon.serve.jobs.moves import Moves
from handlers.gate.verdict import Verdict


class Promoting:
    """Promotes the outputs of jobs. For the loop's thread."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves

    def settle(self, job: Job, verdict: Verdict, reason: str) -> None:
        """Let `job` be done, and `latest` lead to its output where that may be; `reason` is what its step said."""
        del verdict
        self._moves.move(job, State.DONE, reason)
