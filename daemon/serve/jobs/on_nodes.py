"""The way of a step on nodes of Slurm, a training or its merge, from its submission to its end.

What its files say counts before what Slurm says, and what Slurm does not say clearly changes nothing. Nothing is kept
here that a restart would need: a new daemon finds the attempt's files, and its job in Slurm by the name.
"""

import time
from collections.abc import Collection
from datetime import datetime
from functools import partial
from itertools import takewhile

import structlog

from daemon.core.living import Run
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmSettings
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.core.vanished import is_there
from daemon.serve.jobs.after_step import AfterStep
from daemon.serve.jobs.endings import Finished
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.nodes_course import Course
from daemon.serve.jobs.nodes_ends import by_record, by_verdict, by_word, of_merge
from daemon.serve.jobs.nodes_looks import WAITED, Seen, look, record_of, why_it_waits
from daemon.serve.jobs.planning_on_nodes import lay_out_merge, merges_on_a_node
from daemon.serve.jobs.slurm_work import SlurmWork
from daemon.serve.steps.slurm.naming import called
from daemon.serve.steps.slurm.states import UNSAID, Phase, Word, wants_other_nodes
from handlers.codes import Code
from handlers.records.job_dir import Step
from handlers.records.slurm import Verdict
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.decision import Ending, Failure
from handlers.shards.names import see_anew
from handlers.slurm.queue import Row
from handlers.units.durations import format_duration

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
"""Seconds beside the grace after which Slurm is to end what was told to end, and does not; and beside lease and grace
after which a shim is given up that gives no sign of life."""
MOST_TRIES = 2
"""Submissions of one attempt that Slurm took and forgot."""


class OnNodes:
    """Follows steps on nodes. For the loop's thread."""

    def __init__(self, root: Root, store: Store, moves: Moves, work: SlurmWork, after_step: AfterStep) -> None:
        self._root = root
        self._store = store
        self._moves = moves
        self._work = work
        self._after_step = after_step
        self._courses: dict[Run, Course] = {}
        self._trainings = (-1, 0)
        """At which of `Store.changes` how many trainings wait in Slurm's queue, or are about to: hundreds may ask."""

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, to look again; None while nothing is on nodes."""
        return now + LOOK_EVERY if self._courses else None

    def keep(self, runs: Collection[Run]) -> None:
        """Forget all runs but these."""
        self._courses = {run: course for run, course in self._courses.items() if run in runs}

    def has_room(self, settings: Settings) -> bool:
        """Say whether another training may be submitted: not too many jobs are to wait in Slurm's queue.

        Merges that wait there count. None of them is held back: each ends the work of a training that had its turn.
        """
        if self._trainings[0] != self._store.changes:
            waiting = self._store.jobs({State.PREPARING, State.SUBMITTED})
            self._trainings = self._store.changes, sum(1 for job in waiting if job.nodes)
        merges = sum(1 for run, one in self._courses.items() if run.step is Step.MERGE and one.in_queue is not None)
        return settings.slurm is None or self._trainings[1] + merges < settings.slurm.submitted

    def has(self, job: Job, step: Step, settings: Settings, *, was_begun: bool) -> bool:
        """Say whether Slurm has `step` of `job`, or is to have it: who follows processes of this host finds none.

        `was_begun` when a shim of it was started here a moment ago. Raises OSError.
        """
        if step is Step.MERGE:
            return not was_begun and merges_on_a_node(job, settings, self._root)
        return step is Step.TRAIN and job.nodes > 0

    def rests(self, job: Job, step: Step, settings: Settings) -> bool:
        """Say whether `step` of `job`, which Slurm has, waits in its queue, and is not to be looked at yet."""
        course = self._courses.get(Run.of(job, step))
        if course is None or not course.rests(job, self._work.answer):
            return False
        self._work.ask(settings.slurm or SlurmSettings())
        return True

    def follow(self, job: Job, step: Step, settings: Settings) -> None:
        """Go on with `step` of `job`: see `has`. Raises OSError."""
        course = self._courses.setdefault(Run.of(job, step), Course())
        slurm = settings.slurm or SlurmSettings()
        if course.waits_still(job, self._work.answer):
            self._work.ask(slurm)
            return
        course.in_queue = None
        seen = look(job, self._root, step)
        if step is Step.MERGE and seen.intent is None and is_there(job, self._root):
            lay_out_merge(job, slurm, self._root)
            seen = look(job, self._root, step)
        if step is Step.MERGE and seen.owner is not None and seen.exit is None:
            self._store.explain(job, f"Slurm job {seen.owner.job} merges on {seen.owner.nodelist}")
        if seen.verdict is not None and not seen.verdict.has_record:
            self._by_verdict(job, seen, seen.verdict, settings)
        elif seen.exit is not None:
            self._work.ask(slurm)
            self._after_exit(job, seen, seen.exit, course, settings)
        elif seen.owner is not None and job.state is State.SUBMITTED:
            runs = f"Slurm job {seen.owner.job} runs on {seen.owner.nodelist}{seen.left_out}"
            self._moves.move(job, State.TRAINING, runs)
        elif job.cancel:
            self._cancel(job, seen, course, settings)
        elif seen.has_waited(job):
            seen.ask_to_end(WAITED)
            self._work.withdraw(job, slurm, partial(self._waited, job, seen))
        elif seen.submitted is None and seen.owner is None:
            self._work.submit(job, slurm)
        else:
            self._work.ask(slurm)
            self._by_slurm(job, seen, course, settings)

    def tell_of_evaluation(self, job: Job, settings: Settings) -> None:
        """Say of `job`, whose evaluation is a job of Slurm's that a shim here waits for, where that is. Raises OSError.

        Nothing else is done about it: what becomes of it that shim sees.
        """
        self._work.ask(settings.slurm or SlurmSettings())
        answer = self._work.answer
        for row in answer.rows.get(called(self._root, job, Step.EVALUATE), ()) if answer is not None else ():
            match Word.of(row).phase:
                case Phase.WAITS:
                    self._store.explain(job, why_it_waits(row, job, datetime.now()))  # noqa: DTZ005 - as Slurm tells it
                case Phase.RUNS:
                    self._store.explain(job, f"Slurm job {row.id} evaluates on {row.nodes}")

    def _cancel(self, job: Job, seen: Seen, course: Course, settings: Settings) -> None:
        """Have it ended: by its own shim, where that is there and does so; else by Slurm, again and again."""
        now, slurm = time.monotonic(), settings.slurm or SlurmSettings()
        course.ending_since = course.ending_since or now
        seen.ask_to_end("glmd cancel")
        before = " before it was merged" if seen.records.step is Step.MERGE else " before it began"
        cancelled = partial(self._after_step.cancelled, job, before)
        if seen.owner is None:
            self._work.withdraw(job, slurm, cancelled)
            return
        if now - course.ending_since > settings.training.grace + ENOUGH_TIME:
            self._work.withdraw(job, slurm, cancelled)
        self._work.ask(slurm)
        self._by_slurm(job, seen, course, settings)

    def _waited(self, job: Job, seen: Seen) -> None:
        """Fail a job that had not begun in time, and of which nothing can come any more."""
        limit = format_duration(seen.intent.wait or 0.0) if seen.intent is not None else "too long"
        reason = f"had not begun {limit} after its submission (slurm: wait), and was cancelled in Slurm"
        self._moves.move(job, State.FAILED, f"{reason}; glmd retry {job.id}", Code.SLURM_WAITED)

    # By its own record

    def _after_exit(self, job: Job, seen: Seen, exit_: StepExit, course: Course, settings: Settings) -> None:
        now = time.monotonic()
        course.exit_since = course.exit_since or now
        waited, row = now - course.exit_since, self._row(seen, course)
        word = None if row is None else Word.of(row)
        counts = word if seen.verdict is None else Word(seen.verdict.state, seen.verdict.reason)
        end = by_record(exit_, counts, cancel=job.cancel)
        if end is None and waited > SILENCE_OF_SLURM:
            counts, row = UNSAID, None
            end = by_record(exit_, counts, cancel=job.cancel)
        if end is not None and counts is not None and exit_.outcome is Outcome.ENDED_OUTSIDE:
            self._keep_word(seen, counts, row)
        if end is None:
            self._store.explain(job, f"waits for Slurm to say what this means: {exit_.reason}")
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
        return waited > _until_deaf(settings)

    # By Slurm's word

    def _row(self, seen: Seen, course: Course) -> Row | None:
        """Return what Slurm says of its job, where it was asked since that is known; None where it says nothing."""
        course.known_since = course.known_since or time.monotonic()
        answer = self._work.answer
        row = seen.row(answer) if answer is not None and answer.at >= course.known_since else None
        if row is not None:
            course.write_down(record_of(row, datetime.now()), seen.records.nodes.status)  # noqa: DTZ005 - as Slurm tells it
        return row

    def _by_slurm(self, job: Job, seen: Seen, course: Course, settings: Settings) -> None:
        """Go on by what Slurm says, where no file says how it ended."""
        row, answer = self._row(seen, course), self._work.answer
        if answer is not None and answer.unclear and seen.owner is None:
            course.waits(seen, answer)
            if job.state is State.SUBMITTED:
                self._store.explain(job, answer.silence, Code.SLURM_NO_ANSWER)
        if answer is None or answer.unclear or answer.at < (course.known_since or 0.0):
            return  # unknown is not over
        if row is None:
            if answer.up_for >= YOUNG:
                self._unknown_to_slurm(job, seen, course, answer.at, settings)
            return
        if others := seen.others(answer):
            self._work.end_others(job, settings.slurm or SlurmSettings(), others)
        word = Word.of(row)
        if word.phase is None and word.state != course.word:
            course.word = word.state
            log.warning("slurm_state_unknown", job=job.id, slurm=row.id, state=word.state)
        end = by_word(word, seen.states, has_begun=seen.owner is not None, cancel=job.cancel)
        if end is None:
            course.over_since = None
            self._not_over(job, seen, course, row, settings)
        elif course.is_settled(seen.beats, time.monotonic(), _allowance(word, row)):
            self._by_verdict(job, seen, self._keep_word(seen, word, row), settings)

    def _keep_word(self, seen: Seen, word: Word, row: Row | None) -> Verdict:
        """Write down what ends the attempt, before anything follows from it: another daemon must name it the same."""
        answer = self._work.answer
        down = {} if row is None or answer is None else answer.down
        return seen.keep_word(word, "" if row is None else row.nodes, down)

    def _by_verdict(self, job: Job, seen: Seen, verdict: Verdict, settings: Settings) -> None:
        """Go on by the word of Slurm's that ended the attempt, however often this is begun."""
        if (end := by_verdict(verdict, seen, cancel=job.cancel)) is not None:
            self._go_on(job, seen, end, settings)

    def _not_over(self, job: Job, seen: Seen, course: Course, row: Row, settings: Settings) -> None:
        """Say what it waits for, and let it have all nodes where others than it may have are not there.

        Or give it up where its shim is deaf.
        """
        word = Word.of(row)
        if seen.owner is None:
            if word.phase is Phase.WAITS and self._work.answer is not None:
                course.waits(seen, self._work.answer)
            waits = why_it_waits(row, job, datetime.now())  # noqa: DTZ005 - as Slurm tells it
            self._store.explain(job, f"{waits}{seen.left_out}")
            if seen.leaves_out and row.state == "PENDING" and wants_other_nodes(row.reason):
                self._work.leave_none_out(job, settings.slurm or SlurmSettings(), row.reason)
        elif not job.cancel and course.is_deaf(seen.control, word, _until_deaf(settings)):
            self._work.end_others(job, settings.slurm or SlurmSettings(), (row,))
            still = f"{course.shim.still:.0f} s, though Slurm says {word}"
            reason = f"the shim of the job gave no sign of life for {still}"
            self._go_on(job, seen, Failure(Ending.TAKEN, reason, code=Code.SLURM_NODE_LOST), settings)

    def _unknown_to_slurm(self, job: Job, seen: Seen, course: Course, at: float, settings: Settings) -> None:
        """Act on a job of which Slurm knew nothing `at` that time: a slurmctld that is killed forgets the last it took.

        One empty answer is none: it has to come again, long after.
        """
        if not course.is_settled(seen.beats, at, FORGOTTEN):
            return
        # Where nodes were left out in vain the first request may not have been taken.
        enough = seen.intent is not None and seen.intent.tries >= MOST_TRIES + bool(seen.intent.in_vain)
        if seen.owner is not None or enough:
            self._by_verdict(job, seen, self._keep_word(seen, UNSAID, None), settings)
        else:
            seen.records.job.unlink(missing_ok=True)  # which job it is is not known any more: it is looked for again
            course.over_since = course.known_since = None

    def _go_on(self, job: Job, seen: Seen, end: Finished | Failure, settings: Settings) -> None:
        see_anew(job.directory(self._root.path).output)
        if isinstance(end, Failure):
            if seen.is_ended_for_waiting:
                self._waited(job, seen)
                return
            seen.ask_to_end("given up")  # for what may live of it still, or wake up
        if seen.records.step is Step.MERGE:
            states = (moved.state for moved in reversed(self._store.history(job.id)))
            end = of_merge(end, sum(1 for _ in takewhile(State.MERGING.__eq__, states)))
        self._after_step.go_on(job, seen.records.step, end, settings)


def _until_deaf(settings: Settings) -> float:
    """Return after how many seconds without a sign of life of a job's shim its nodes have certainly ended."""
    return (settings.slurm or SlurmSettings()).lease + settings.training.grace + ENOUGH_TIME


def _allowance(word: Word, row: Row) -> float:
    """Return for how many seconds files may come later than this word that a job is over, or has lost a node."""
    if word.phase is not Phase.OVER:
        return FORGOTTEN
    return EXIT_ALLOWANCE if row.nodes else 0.0  # it never had a node, so nobody writes any
