"""The way of a training on nodes of Slurm, from its submission to its end.

What its files say counts before what Slurm says, and what Slurm does not say clearly changes nothing. Nothing is kept
here that a restart would need: a new daemon finds the attempt's files, and its job in Slurm by the name.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import structlog

from daemon.core.living import Run
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmSettings
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.serve.jobs.after_step import AfterStep
from daemon.serve.jobs.endings import Finished
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.nodes_ends import by_record, by_word
from daemon.serve.jobs.nodes_looks import Seen, look, said, why_it_waits
from daemon.serve.jobs.slurm_work import SlurmWork
from daemon.serve.steps.slurm.client import Row
from daemon.serve.steps.slurm.states import Phase, Word, forgotten
from handlers.codes import Code
from handlers.records.job_dir import Step
from handlers.records.slurm import Said
from handlers.records.step_exit import StepExit
from handlers.resume.decision import Ending, Failure

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOOK_EVERY = 2.0
"""Seconds between two looks at the files of what runs: of other hosts nobody tells."""
EXIT_ALLOWANCE = 10.0
"""Seconds that files may come later than Slurm's word that a job is over."""
SILENCE_OF_SLURM = 180.0
"""Seconds for which Slurm may say that a job runs whose shim it has told to end."""
FORGOTTEN = 60.0
"""Seconds for which Slurm has to know nothing of a job, and nobody of it to live, before it counts as forgotten."""
YOUNG = 120.0
"""Seconds after its start for which slurmctld may not know of jobs that it took, or whose nodes are yet to report."""
ENOUGH_TIME = 60.0
"""Seconds beside the grace after which Slurm is to end what was told to end, and does not."""
MOST_TRIES = 2
"""Submissions of one attempt that Slurm took and forgot."""


@dataclass
class _Course:
    """What is remembered of a run while this daemon lives: nothing that another one would need. Monotonic seconds."""

    known_since: float | None = None
    """Since when it is known which job it is in Slurm: what was answered before says nothing of it."""
    over_since: float | None = None
    """Since when Slurm says that it is over, or does not know it."""
    exit_since: float | None = None
    told_to_end: float | None = None
    beats: tuple[int, ...] = ()
    word: str = ""
    """The last one of Slurm's that glmd does not know."""
    said: Said | None = None
    """What Slurm said last, as it is written down."""


class OnNodes:
    """Follows trainings on nodes. For the loop's thread."""

    def __init__(self, root: Root, store: Store, moves: Moves, work: SlurmWork, after_step: AfterStep) -> None:
        self._root = root
        self._store = store
        self._moves = moves
        self._work = work
        self._after_step = after_step
        self._courses: dict[Run, _Course] = {}

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, to look again; None while nothing is on nodes."""
        return now + LOOK_EVERY if self._courses else None

    def keep(self, runs: Collection[Run]) -> None:
        """Forget all runs but these."""
        self._courses = {run: course for run, course in self._courses.items() if run in runs}

    def has_room(self, settings: Settings) -> bool:
        """Say whether another job may be submitted: not too many are to wait in Slurm's queue."""
        waiting = sum(1 for job in self._store.jobs({State.PREPARING, State.SUBMITTED}) if job.nodes)
        return settings.slurm is None or waiting < settings.slurm.submitted

    def follow(self, job: Job, settings: Settings) -> None:
        """Take the next step of `job`, which is submitted or trains. Raises OSError."""
        course = self._courses.setdefault(Run.of(job, Step.TRAIN), _Course())
        slurm, seen = settings.slurm or SlurmSettings(), look(job, self._root)
        if seen.exit is not None:
            self._work.ask(slurm)
            self._after_exit(job, seen, seen.exit, course, settings)
        elif seen.owner is not None and job.state is State.SUBMITTED:
            self._moves.move(job, State.TRAINING, f"Slurm job {seen.owner.job} runs on {seen.owner.nodelist}")
        elif job.cancel:
            self._cancel(job, seen, course, settings)
        elif seen.submitted is None and seen.owner is None:
            self._work.submit(job, slurm)
        else:
            self._work.ask(slurm)
            self._by_slurm(job, seen, course, settings)

    def _cancel(self, job: Job, seen: Seen, course: _Course, settings: Settings) -> None:
        """Have it ended: by its own shim, where that is there and does so; else by Slurm, again and again."""
        now, slurm = time.monotonic(), settings.slurm or SlurmSettings()
        course.told_to_end = course.told_to_end or now
        seen.ask_to_end("glmd cancel")
        if seen.owner is None:
            self._work.withdraw(job, slurm, self._after_step)
            return
        if now - course.told_to_end > settings.training.grace + ENOUGH_TIME:
            self._work.withdraw(job, slurm, self._after_step)
        self._work.ask(slurm)
        self._by_slurm(job, seen, course, settings)

    # By its own record

    def _after_exit(self, job: Job, seen: Seen, exit_: StepExit, course: _Course, settings: Settings) -> None:
        now = time.monotonic()
        course.exit_since = course.exit_since or now
        waited, row = now - course.exit_since, self._row(seen, course)
        word = None if row is None else Word(row.state, row.reason)
        end = by_record(exit_, word, cancel=job.cancel)
        if end is None and waited > SILENCE_OF_SLURM:
            end = by_record(exit_, Word("FAILED", ""), cancel=job.cancel)
        if end is None:
            self._store.explain(job, f"waits for Slurm's word of what this means: {exit_.reason}")
        elif isinstance(end, Failure) and not self._is_certainly_over(exit_, word, waited, settings):
            left = ", ".join(exit_.nodes_without_record)
            self._store.explain(job, f"waits until {left} is certainly over, after: {end.reason}", end.code)
        else:
            self._go_on(job, seen, end, settings)

    @staticmethod
    def _is_certainly_over(exit_: StepExit, word: Word | None, waited: float, settings: Settings) -> bool:
        """Say whether nothing of it can be on a node any more: a silent one may train on, until its lease ends."""
        if not exit_.nodes_without_record or (word is not None and word.phase is Phase.OVER):
            return True
        lease = (settings.slurm or SlurmSettings()).lease
        return waited > lease + settings.training.grace + ENOUGH_TIME

    # By Slurm's word

    def _row(self, seen: Seen, course: _Course) -> Row | None:
        """Return what Slurm says of its job, where it was asked since that is known; None where it says nothing."""
        course.known_since = course.known_since or time.monotonic()
        answer = self._work.answer
        row = seen.row(answer) if answer is not None and answer.at >= course.known_since else None
        if row is not None:
            self._write_down(said(row, datetime.now()), seen, course)  # noqa: DTZ005 - as Slurm tells it
        return row

    @staticmethod
    def _write_down(what: Said, seen: Seen, course: _Course) -> None:
        """Keep what Slurm says where those can read it who only look; that this cannot be done now stops nothing."""
        if what == course.said:
            return
        try:
            what.publish(seen.records.nodes.said)
        except OSError as error:
            log.warning("slurm_word_not_kept", path=str(seen.records.nodes.said), reason=str(error))
        else:
            course.said = what

    def _by_slurm(self, job: Job, seen: Seen, course: _Course, settings: Settings) -> None:
        """Go on by what Slurm says, where no file says how it ended."""
        row, answer = self._row(seen, course), self._work.answer
        if answer is None or answer.unclear or answer.at < (course.known_since or 0.0):
            return  # unknown is not over
        if row is None:
            if answer.up_for >= YOUNG:
                self._unknown_to_slurm(job, seen, course, answer.at, settings)
            return
        if others := seen.others(answer):
            self._work.end_others(job, settings.slurm or SlurmSettings(), others)
        word = Word(row.state, row.reason)
        if word.phase is None and word.state != course.word:
            course.word = word.state
            log.warning("slurm_state_unknown", job=job.id, slurm=row.id, state=word.state)
        end = by_word(word, seen.states, has_begun=seen.owner is not None, cancel=job.cancel)
        if end is None:
            course.over_since = None
            if job.state is State.SUBMITTED:
                self._store.explain(job, why_it_waits(row, job, datetime.now()))  # noqa: DTZ005 - as Slurm tells it
        elif self._is_settled(
            seen, course, time.monotonic(), EXIT_ALLOWANCE if word.phase is Phase.OVER else FORGOTTEN
        ):  # fmt: skip
            self._go_on(job, seen, end, settings)

    def _unknown_to_slurm(self, job: Job, seen: Seen, course: _Course, at: float, settings: Settings) -> None:
        """Act on a job of which Slurm knew nothing `at` that time: a slurmctld that is killed forgets the last it took.

        One empty answer is none: it has to come again, long after.
        """
        if not self._is_settled(seen, course, at, FORGOTTEN):
            return
        if seen.owner is not None:
            self._go_on(job, seen, forgotten(), settings)
        elif seen.intent is not None and seen.intent.tries >= MOST_TRIES:
            reason = f"Slurm took the job {seen.intent.tries} times, and does not know it any more"
            self._go_on(job, seen, Failure(Ending.FAILED, reason, code=Code.SLURM_FORGOTTEN), settings)
        else:
            seen.records.job.unlink(missing_ok=True)  # which job it is is not known any more: it is looked for anew
            course.over_since = course.known_since = None

    @staticmethod
    def _is_settled(seen: Seen, course: _Course, at: float, allowance: float) -> bool:
        """Say whether it has been so for long enough by then, and nobody of it gave a sign of life meanwhile."""
        if course.over_since is None or seen.beats != course.beats:
            course.over_since, course.beats = at, seen.beats
        return at - course.over_since > allowance

    def _go_on(self, job: Job, seen: Seen, end: Finished | Failure, settings: Settings) -> None:
        if isinstance(end, Failure):
            seen.ask_to_end("given up")  # for what may live of it still, or wake up
        self._after_step.go_on(job, Step.TRAIN, end, settings)
