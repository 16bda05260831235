"""A job that waits in Slurm's queue and only waits: there may be hundreds, whose files nobody reads at each look.

It is where it was as long as Slurm says of it what it said before. One file tells that it has begun, and the longer it
has waited, the less often that is looked for.
"""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.states import Job
from daemon.serve.jobs.nodes_looks import Seen, record_of
from daemon.serve.steps.slurm.queue import Answer
from handlers.ckpt.files.listing import is_listed
from handlers.records.slurm import SlurmStatus

LONGEST_REST = 10.0
"""Seconds between two looks for whether it has begun, at most."""
_SHARE = 0.2
"""Of the time that it has waited: one that has waited for seconds may begin any moment."""


@dataclass
class InQueue:
    """What it was when its files were read last. Moments are in monotonic seconds."""

    seen: Seen
    answer: Answer
    """The newest of Slurm's: it waits by that, or that is no clear one."""
    since: float
    """Since when it has waited, as far as this daemon knows."""
    until: float = 0.0
    """When to look whether it has begun."""

    def is_unchanged(self, job: Job, answer: Answer | None, written: SlurmStatus | None) -> bool:
        """Say whether nothing is to be done for it, as far as Slurm tells; `written` is what is kept of that."""
        if job.cancel or answer is None or self.seen.has_waited(job):
            return False
        if answer is not self.answer:
            if answer.unclear or self.answer.unclear or self.seen.leaves_out or self.seen.others(answer):
                return False
            row = self.seen.row(answer)
            if row is None or record_of(row, datetime.now()) != written:  # noqa: DTZ005 - as Slurm tells it
                return False
            self.answer = answer
        return True

    def has_begun(self) -> bool:
        """Say whether a shim has taken it. Raises OSError."""
        return is_listed(self.seen.records.nodes.owner)

    def rest(self, now: float) -> None:
        """Let it alone for a fifth of the time that it has waited."""
        self.until = now + min(LONGEST_REST, _SHARE * (now - self.since))
