"""What is remembered of a step on nodes while this daemon lives: nothing that another one would need."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from daemon.core.states import Job
from daemon.serve.jobs.in_slurms_queue import InQueue
from daemon.serve.jobs.nodes_looks import Seen
from daemon.serve.steps.slurm.queue import Answer
from daemon.serve.steps.slurm.states import Word
from handlers.records.nodes import Control
from handlers.records.slurm import SlurmStatus
from handlers.shim.pulse import Pulse

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass
class Course:
    """Since when things are as they are. Monotonic seconds."""

    known_since: float | None = None
    """Since when it is known which job it is in Slurm: what was answered before says nothing of it."""
    over_since: float | None = None
    """Since when Slurm says that it is over, or does not know it."""
    exit_since: float | None = None
    ending_since: float | None = None
    beats: tuple[int, ...] = ()
    shim: Pulse = field(default_factory=lambda: Pulse(time.monotonic()))
    """Of the job's, while Slurm says that it runs."""
    word: str = ""
    """The last one of Slurm's that glmd does not know."""
    waits_since: float | None = None
    """Since when it waits in Slurm's queue, as far as that is known; also of one that does not any more."""
    in_queue: InQueue | None = None
    """How it waits there; None where it does not, or is being looked at."""
    written: SlurmStatus | None = None
    """What Slurm said last, as it is written down."""

    def waits(self, seen: Seen, answer: Answer) -> None:
        """Take note that it waits in Slurm's queue, by this answer or as far as anybody knows."""
        now = time.monotonic()
        self.waits_since = now if self.waits_since is None else self.waits_since
        self.in_queue = InQueue(seen, answer, self.waits_since)
        self.in_queue.rest(now)

    def rests(self, job: Job, answer: Answer | None) -> bool:
        """Say whether it waits in Slurm's queue as it did, and was looked at a moment ago."""
        waits = self.in_queue
        return waits is not None and time.monotonic() < waits.until and waits.is_unchanged(job, answer, self.written)

    def waits_still(self, job: Job, answer: Answer | None) -> bool:
        """Say whether it waits in Slurm's queue as it did, and nobody has begun it. Raises OSError."""
        waits = self.in_queue
        if waits is None or not waits.is_unchanged(job, answer, self.written) or waits.has_begun():
            return False
        waits.rest(time.monotonic())
        return True

    def is_settled(self, beats: tuple[int, ...], at: float, allowance: float) -> bool:
        """Say whether it has been over for long enough by then, and nobody of it gave a sign of life meanwhile."""
        if self.over_since is None or beats != self.beats:
            self.over_since, self.beats = at, beats
        return at - self.over_since > allowance

    def is_deaf(self, control: Control | None, word: Word, seconds: float) -> bool:
        """Say whether the job's shim has given no sign of life for so long.

        One that Slurm has suspended is not expected to.
        """
        now = time.monotonic()
        if word.state != "RUNNING":
            self.shim = Pulse(now)
            return False
        self.shim.look(control.seq if control is not None else 0, now)
        return self.shim.still > seconds

    def write_down(self, what: SlurmStatus, path: Path) -> None:
        """Keep what Slurm says where those can read it who only look; that this cannot be done now stops nothing."""
        if what == self.written:
            return
        try:
            what.publish(path)
        except OSError as error:
            log.warning("slurm_word_not_kept", path=str(path), reason=str(error))
        else:
            self.written = what
