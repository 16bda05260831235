"""Whether a training that did not come to its end is taken up again, and from where. Decisions: nothing is done here.

The rules, in this order; the first that applies holds:

1. A training that left processes which cannot be ended stays ended: they hold its devices.
2. One that diverged goes on once in a job's life, as far as `resume.attempts` allows, from a save of before it went
   wrong; without such a save it is left to people.
3. Where the end of the last epoch was saved there is nothing left to train.
4. What somebody ended, or what ran past `timeout.total`, stays ended.
5. At most `resume.attempts` times, and never after an error that would come again: a wrong value, a missing file. What
   Slurm did to the nodes says nothing about the job and does not count, but MOST_IN_VAIN times in a row without a new
   save are enough.
6. When the host went down that says nothing about the job: it resumes from its newest save, or begins again. So it does
   when Slurm's time limit came, if it has saved anything new by then: else it would come to no more the next time.
7. What has saved something new that MindFormers can go on from goes on from there.
8. What has saved, but nothing that MindFormers can go on from, is left to people: to begin again may cost them days.
9. An attempt that has saved nothing new is not repeated, unless it is the first, and it hung or its error may pass.

Saves that a training which diverged made when it had gone wrong are none to any of these rules, then and later.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Self

from handlers.codes import Code
from handlers.records.record import Count, Record
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.point import ResumePoint
from handlers.resume.resumable import Obstacle


class Ending(Enum):
    """What put an end to an attempt."""

    FAILED = auto()
    """A rank failed, or the shim died."""
    HUNG = auto()
    LOST = auto()
    """The host went down."""
    TAKEN = auto()
    """Slurm took the nodes away, or lost one, or did not start the batch step."""
    TIME = auto()
    """The time limit of its Slurm job came."""
    STOPPED = auto()
    """Somebody ended it: by `glmd cancel`, or by a signal to the shim."""
    OVERTIME = auto()
    """`timeout.total` is past."""
    DIVERGED = auto()
    """Its loss is lost (handlers.rank_log.divergence)."""
    STUCK = auto()
    """Processes are left that even SIGKILL did not end."""


UNCOUNTED = frozenset({Ending.TAKEN, Ending.TIME})
"""Endings that use up none of `resume.attempts`: they are the nodes' and Slurm's."""
MOST_IN_VAIN = 3
"""Such attempts in a row without a new save: one bad node would else end attempts for ever."""

_PAST = {"total": Ending.OVERTIME, "slurm.time": Ending.TIME}
"""By the limit that was passed."""


@dataclass(frozen=True)
class Tries:
    """How many attempts in a row, the present one included, glmd has begun by itself; none after `glmd retry`."""

    resumes: int = 0
    uncounted: int = 0
    """How many of them followed on an ending that is in UNCOUNTED."""
    in_vain: int = 0
    """How many attempts in a row before the present one ended so, and saved nothing new."""


FIRST = Tries()


class TakenUp(Record):
    """attempts/N/resume.json: how attempt N began. The counts are those of Tries."""

    resumes: Count
    uncounted: Count = 0
    in_vain: Count = 0
    tag: str | None
    """Of the save that it resumes from; None when it began from the start."""
    passed_over: str = ""
    """Why that is not the newest save, for people; empty where it is."""
    united: bool = False
    """Whether what it starts from was united, and so is a file of its own."""

    @property
    def tries(self) -> Tries:
        """Which attempt in a row it was."""
        return Tries(self.resumes, self.uncounted, self.in_vain)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read resume.json, which a first attempt has not. Raises OSError or pydantic.ValidationError."""
        try:
            return super().read(path)
        except FileNotFoundError:
            return cls(resumes=0, tag=None)


@dataclass(frozen=True)
class Failure:
    """How an attempt ended."""

    ending: Ending
    reason: str
    """For people."""
    may_pass: bool | None = None
    """Whether its error may not come again (handlers.rank_log.known_errors); None where that is not known."""
    code: str = ""
    """What programs know it by; see handlers.codes."""

    @classmethod
    def of(cls, record: StepExit, reason: str, *, lost: bool) -> Self:
        """Describe what exit.json says; `lost` when the host has gone down since the step began."""
        may_pass = record.diagnosis.may_pass if record.diagnosis else None
        if record.needs_operator and not lost:
            return cls(Ending.STUCK, reason, may_pass, record.code)
        if record.outcome is Outcome.CANCELLED:
            if lost:
                return cls(Ending.LOST, reason, code=Code.HOST_WENT_DOWN)
            return cls(Ending.STOPPED, reason, code=record.code)
        if record.outcome is Outcome.TIMED_OUT:
            return cls(_PAST.get(record.limit or "", Ending.HUNG), reason, may_pass, record.code)
        if record.divergence is not None:  # also where a rank failed of it
            return cls(Ending.DIVERGED, reason, may_pass, record.code)
        return cls(Ending.FAILED, reason, may_pass, record.code)


@dataclass(frozen=True)
class PastAttempt:
    """What is known of an attempt that is over."""

    failure: Failure
    tries: Tries
    began: ResumePoint | None
    """What it began with; None for the start."""
    saved: ResumePoint | None
    """The newest save of its own that is complete on all ranks and that MindFormers can go on from, if anything is left
    to train. After a divergence the newest one of before, of whichever attempt."""
    finished: bool
    """Whether nothing is left to train after `saved`."""
    obstacle: Obstacle | None = None
    """Why `saved` is not the newest complete save of its own; None where it is, or there is none."""
    has_diverged_before: bool = False
    """Whether an earlier attempt of the job diverged."""

    @property
    def next_tries(self) -> Tries:
        """Which one in a row the next attempt is."""
        is_uncounted = self.failure.ending in UNCOUNTED
        is_in_vain = is_uncounted and self.saved is None
        return Tries(
            self.tries.resumes + 1, self.tries.uncounted + is_uncounted, self.tries.in_vain + 1 if is_in_vain else 0
        )


@dataclass(frozen=True)
class Resume:
    """Train on from `point`, or with None from the start."""

    point: ResumePoint | None
    reason: str


@dataclass(frozen=True)
class Trained:
    """Merge: nothing is left to train."""

    reason: str


@dataclass(frozen=True)
class GiveUp:
    """Leave it to people."""

    reason: str


Decision = Resume | Trained | GiveUp


def decide(past: PastAttempt, limit: int) -> Decision:
    """Decide what follows; `limit` is `resume.attempts`."""
    failure, why = past.failure, past.failure.reason
    if failure.ending is Ending.STUCK:
        return GiveUp(why)
    if failure.ending is Ending.DIVERGED:
        return _after_divergence(past, limit)
    if past.saved is not None and past.finished:
        return Trained(f"the training is complete and saved as {past.saved.tag}, although {why}")
    if failure.ending in {Ending.STOPPED, Ending.OVERTIME} or limit == 0:
        return GiveUp(why)
    if failure.may_pass is False:
        return GiveUp(f"{why}; not tried again: it would end the same way until you fix that")
    return _beyond(past, limit) or _unless_in_vain(past)


def as_begun(resume: Resume, taken_up: TakenUp, why: str) -> Resume:
    """Return `resume`, decided after `why`, with what the attempt has begun with, should that be another save."""
    if resume.point is None or taken_up.tag == str(resume.point.tag):
        return resume
    how = f"resumed from {taken_up.tag}" if taken_up.tag else "started again"
    return replace(resume, reason=f"{how} after: {why}" + (f"; {taken_up.passed_over}" if taken_up.passed_over else ""))


def _beyond(past: PastAttempt, limit: int) -> GiveUp | None:
    why, counted = past.failure.reason, past.tries.resumes - past.tries.uncounted
    if past.failure.ending in UNCOUNTED:
        if (in_vain := past.next_tries.in_vain) < MOST_IN_VAIN:
            return None
        return GiveUp(f"{why}; not tried again: {in_vain} attempts in a row ended this way and saved nothing new")
    if counted < limit:
        return None
    return GiveUp(f"{why}; not tried again: glmd has done so {counted} times (resume.attempts)")


def _after_divergence(past: PastAttempt, limit: int) -> Resume | GiveUp:
    why = past.failure.reason
    if limit == 0:
        return GiveUp(why)
    if past.has_diverged_before:
        return GiveUp(f"{why}; not resumed: an earlier attempt diverged too, and glmd resumes a job once after that")
    if past.saved is None:
        why += "; not resumed: no earlier save is complete on all ranks"
        passed_over = f" ({past.obstacle.what})" if past.obstacle else ""
        return GiveUp(f"{why}{passed_over}. `glmd retry N` would start from the beginning")
    return _beyond(past, limit) or _go_on(past.saved, why, past.obstacle)


def _unless_in_vain(past: PastAttempt) -> Resume | GiveUp:
    failure, why = past.failure, past.failure.reason
    if failure.ending is Ending.TIME and past.saved is None:
        return GiveUp(f"{why}; not tried again: it needs longer than that (slurm.time) to its next save")
    if past.saved is not None or failure.ending in {Ending.LOST, Ending.TAKEN}:
        return _go_on(past.saved or past.began, why, past.obstacle)
    if past.obstacle is not None:
        retry = f"resume from {past.began.tag}" if past.began else "start from the beginning"
        return GiveUp(f"{why}; not resumed: {past.obstacle.what}; {past.obstacle.remedy}. `glmd retry N` would {retry}")
    if past.tries.resumes > 0:
        newer = f" newer than {past.began.tag}" if past.began else ""
        return GiveUp(f"{why}; not tried again: it made no save{newer} that is complete on all ranks")
    if failure.ending is Ending.HUNG or failure.may_pass:
        return _go_on(past.began, why)
    return GiveUp(why)


def _go_on(point: ResumePoint | None, why: str, obstacle: Obstacle | None = None) -> Resume:
    how = f"resumed from {point.tag}" if point else "started again"
    return Resume(point, f"{how} after: {why}" + (f"; {obstacle.what}" if obstacle else ""))
