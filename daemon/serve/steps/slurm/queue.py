"""What Slurm says of all of glmd's jobs: one question for all of them, asked now and then."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from daemon.core.slurm_names import SlurmName
from daemon.serve.steps.slurm.states import Word
from handlers.slurm.calling import UnclearError
from handlers.slurm.client import SlurmClient
from handlers.slurm.expected import clock
from handlers.slurm.queue import Row

PATIENCE = 10.0
"""Times as long as an answer took Slurm is left alone, at least."""
LONGEST = 60.0
"""Seconds between two questions, at most, while Slurm does not answer."""


@dataclass(frozen=True)
class Answer:
    """What was answered last."""

    at: float
    """When, in monotonic seconds, it was asked for."""
    seconds: float
    """How long it took."""
    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    """By the name of the job: seldom more than one."""
    up_for: float = math.inf
    """Seconds for which slurmctld had been up: one that has just been started may not know a job any more, or yet."""
    down: Mapping[str, str] = field(default_factory=dict)
    """The cluster's nodes that are down, with Slurm's reason; asked for where a job of glmd's has lost one."""
    unclear: str = ""
    """Why nothing is known; empty where it is."""
    silent_since: datetime | None = None
    """Since when, in local time, nothing is known."""
    unanswered: int = 0
    """How many questions in a row, this one included, had no clear answer."""

    @property
    def silence(self) -> str:
        """Say for people that nothing is known, since when, and that this harms nothing."""
        now = datetime.now()  # noqa: DTZ005 - people's own
        since = f" since {clock(self.silent_since, now)}" if self.silent_since is not None else ""
        return f"Slurm does not answer{since} ({self.unclear}); running jobs go on, and glmd submits nothing twice"


def ask(client: SlurmClient) -> Answer:
    """Return what Slurm says of all of my jobs, or why that is not known. It blocks."""
    began = time.monotonic()
    try:
        rows, up_for = client.jobs(), client.up_for()
        # Which one a job has lost its row does not say: of what is COMPLETING it has those that are not.
        down = client.down() if any(SlurmName.of(row.name) and Word.of(row).has_lost_a_node for row in rows) else {}
    except UnclearError as error:
        return Answer(began, time.monotonic() - began, unclear=str(error))
    by_name: dict[str, tuple[Row, ...]] = {}
    for row in rows:
        by_name[row.name] = (*by_name.get(row.name, ()), row)
    return Answer(began, time.monotonic() - began, by_name, up_for, down)


def next_question(answer: Answer, poll: float) -> float:
    """Return when, in monotonic seconds, to ask again: `poll` seconds later, or when Slurm has had its rest.

    While it does not answer that is twice as late each time, from `poll` on: it is mostly back in some seconds.
    """
    if answer.unclear:
        doubled = poll * 2.0 ** min(answer.unanswered - 1, 10)
        return answer.at + answer.seconds + min(doubled, LONGEST)
    return answer.at + max(poll, PATIENCE * answer.seconds)
