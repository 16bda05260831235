"""What goes of the jobs that are over, and why: the rules alone, over what was found out about the jobs.

1. What is protected stays, whatever else is said: anyone who has found it out says why.
2. Shards of a job whose output was promoted go, but for the newest jobs of its cycle. All others stay for a time, and
   those of the newest such job of each cycle for ever: somebody may want to go on with it.
3. Merged outputs go that no part of `keep` keeps (handlers.retention.outputs); one that was not promoted stays at least
   as long as its shards would.
4. Records go when nothing else of the job is left, and they are old.

A cycle's jobs are counted apart from those that people drop, and each prefix by itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from handlers.retention.outputs import Output, kept
from handlers.retention.part import Part
from handlers.retention.policy import AfterMerge, KeepOptimizer, Kept, Retention
from handlers.units.durations import format_duration


@dataclass(frozen=True)
class PastJob:
    """A job that is over, as far as the rules look at it."""

    id: int
    prefix: str
    """Empty where nobody knows."""
    cycle: str
    """Empty where it is no run of one."""
    ended: datetime
    is_promoted: bool
    """Whether `latest` was led to its output, and that was not taken back."""
    is_good: bool
    """Whether it is that, or was not meant to be, and nothing was said against it."""
    parts: frozenset[Part]
    """What there is of it."""
    loss: float | None = None
    is_automatic: bool = True
    """Whether glmd may prune it without being asked."""
    protected: Mapping[Part, str] = field(default_factory=dict)
    """What stays, each with why."""

    @property
    def output(self) -> Output:
        """Its merged output."""
        return Output(self.id, self.ended, self.is_good, self.loss)


@dataclass(frozen=True)
class Choice:
    """What becomes of a part of a job."""

    job: int
    part: Part
    goes: bool
    why: str
    """For people."""


def choose(jobs: Iterable[PastJob], retention: Retention, now: datetime, *, is_asked: bool) -> list[Choice]:
    """Say of each part of each job what becomes of it; where nobody has asked, only nightly jobs lose anything."""
    groups: defaultdict[tuple[str, str], list[PastJob]] = defaultdict(list)
    for job in jobs:
        groups[job.prefix, job.cycle].append(job)
    found: list[Choice] = []
    for (prefix, _), group in groups.items():
        newest = sorted(group, key=lambda job: (job.ended, job.id), reverse=True)
        rules = _Rules(newest, retention.of(prefix), now)
        found += [_final(job, choice, is_asked=is_asked) for job in newest for choice in rules.of(job)]
    return sorted(found, key=lambda choice: (choice.job, choice.part))


def _final(job: PastJob, choice: Choice, *, is_asked: bool) -> Choice:
    """Let a part stay that is protected, or that only somebody's wish could remove."""
    why = job.protected.get(Part.SHARDS if choice.part is Part.OLDER_SHARDS else choice.part)
    if choice.goes and why:
        return Choice(job.id, choice.part, goes=False, why=why)
    if choice.goes and not (is_asked or job.is_automatic):
        return Choice(job.id, choice.part, goes=False, why=f"glmd prune would remove it: {choice.why}")
    return choice


class _Rules:
    """The rules for the jobs of one cycle and prefix, the newest first."""

    def __init__(self, newest: Sequence[PastJob], policy: Kept, now: datetime) -> None:
        self._policy = policy
        self._now = now
        promoted = [job.id for job in newest if job.is_promoted and Part.SHARDS in job.parts]
        self._with_shards = frozenset(promoted[: policy.shards.keep_last])
        others = [job.id for job in newest if not job.is_promoted and Part.SHARDS in job.parts]
        self._newest_other = others[0] if others else None
        self._outputs = kept([job.output for job in newest if Part.MERGED in job.parts], policy.keep)

    def of(self, job: PastJob) -> Iterator[Choice]:
        if Part.SHARDS in job.parts:
            yield self._shards(job)
        if Part.MERGED in job.parts:
            yield self._merged(job)
        if Part.RECORDS in job.parts:
            yield self._records(job)

    def _shards(self, job: PastJob) -> Choice:
        wanted = self._policy.shards
        if not job.is_promoted:
            return self._of_no_promotion(job, Part.SHARDS, is_newest=job.id == self._newest_other)
        if wanted.after_merge is AfterMerge.KEEP:
            return _stays(job, Part.SHARDS, "after_merge: keep")
        if job.id in self._with_shards:
            return _stays(job, Part.SHARDS, f"one of the last {wanted.keep_last} that were promoted")
        if wanted.keep_optimizer is not KeepOptimizer.LATEST:
            return _goes(job, Part.SHARDS, "its output was promoted")
        if Part.OLDER_SHARDS in job.parts:
            return _goes(job, Part.OLDER_SHARDS, "its output was promoted, and keep_optimizer keeps its newest save")
        return _stays(job, Part.SHARDS, "keep_optimizer: latest")

    def _merged(self, job: PastJob) -> Choice:
        if why := self._outputs.get(job.id):
            return _stays(job, Part.MERGED, why)
        if not job.is_good:
            return self._of_no_promotion(job, Part.MERGED, is_newest=False)
        return _goes(job, Part.MERGED, "newer ones are kept in its place")

    def _records(self, job: PastJob) -> Choice:
        return self._by_age(job, Part.RECORDS, self._policy.records, "records")

    def _of_no_promotion(self, job: PastJob, part: Part, *, is_newest: bool) -> Choice:
        if is_newest:
            return _stays(job, part, "the newest that was not promoted: somebody may start from it")
        return self._by_age(job, part, self._policy.shards.failed, "not promoted, and shards.failed")

    def _by_age(self, job: PastJob, part: Part, span: float | None, what: str) -> Choice:
        if span is None:
            return _stays(job, part, f"{what} is off")
        age = (self._now - job.ended).total_seconds()
        if age > span:
            return _goes(job, part, f"{what} is {format_duration(span)}: it was over {format_duration(age)} ago")
        return _stays(job, part, f"{what} is {format_duration(span)}")


def _goes(job: PastJob, part: Part, why: str) -> Choice:
    return Choice(job.id, part, goes=True, why=why)


def _stays(job: PastJob, part: Part, why: str) -> Choice:
    return Choice(job.id, part, goes=False, why=why)
