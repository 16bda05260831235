"""What becomes of a merged output: it is held against the gate, and promoted or not."""

from daemon.core.states import Job
from daemon.serve.jobs.promoting import Promoting
from handlers.gate.verdict import Verdict
from handlers.records.job_dir import Step


class Judging:
    """Judges the outputs of jobs. For the loop's thread."""

    def __init__(self, promoting: Promoting) -> None:
        self._promoting = promoting

    def judge(self, job: Job, step: Step, reason: str) -> None:
        """Let `job`, whose merge or evaluation has come to its end, go on; `reason` is what that step said."""
        del step
        self._promoting.settle(job, Verdict(passed=True), reason)
