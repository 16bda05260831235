"""Removes what retention does not keep: after jobs, now and then, before nights, and when somebody asks.

A worker finds out what is to go, and a worker removes it; in between the store notes each part, before its first file
is touched. Whatever dies when, the next turn goes on with what was noted, and nobody retries or promotes it meanwhile.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from daemon.core.error_codes import code_of
from daemon.core.prunings import Pruning
from daemon.core.request import Pending, RequestRefusedError
from daemon.core.retention import Item, Plan, plan, seen_in
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job
from daemon.core.store import Store, TransitionError
from daemon.core.users import User
from daemon.core.vanished import refuse_absent_jobs
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Lane, Workers
from handlers.events import job_log
from handlers.retention import trash
from handlers.retention.part import Part
from handlers.retention.pieces import pieces

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Result = TypeVar("Result")

EVERY = 600.0
"""Seconds between two looks: what was too young may be old enough."""
SOON = 1.0
"""Seconds between two looks at whether dropped files have become jobs."""
DROPS_WITHIN = 60.0
"""Seconds for which that is waited for: what stays longer is no reason to let the disk fill."""
AT_ONCE = 1
"""Parts that are noted and removed in a turn: each costs the loop two commits, and those wait for a disk at work."""


@dataclass(frozen=True)
class _Asked:
    by: str
    answer: Pending | None
    """None where it was answered, and the plan is to be made again."""


class Pruner:
    """Removes it, one round after the other. For the loop's thread."""

    def __init__(
        self, settings: Settings, root: Root, store: Store, waiting: Waiting, workers: Workers, faults: Faults
    ) -> None:
        self.settings = settings
        self._root = root
        self._store = store
        self._waiting = waiting
        self._workers = workers
        self._faults = faults
        self._is_at_work = False
        self._due = 0.0
        self._not_before = 0.0
        self._dropped: float | None = None
        """Since when there were dropped files of which no job was made."""
        self._overs = -1
        """How many jobs were over when it was looked last."""
        self._asked: deque[_Asked] = deque()
        self._going: deque[Item] = deque()
        """What the newest plan removes, as far as that has not begun."""
        self._planned: tuple[Plan, str] | None = None
        """That plan, and who asked for it."""

    def ask(self, by: User) -> Pending:
        """Remove all that the rules do not keep, also of jobs that people have dropped; the answer says what."""
        answer = Pending()
        self._asked.append(_Asked(by.name, answer))
        log.info("prune_asked", user=by.name, uid=by.number)
        return answer

    def make_room(self) -> None:
        """Look soon: there may be too little for what is to come."""
        self._due = 0.0
        self._waiting.wake()

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, there is something to do; None while a worker is at it."""
        if self._is_at_work:
            return None
        return max(now if self._is_wanted else self._due, self._not_before)

    @property
    def _is_wanted(self) -> bool:
        """Whether there is something to do at once."""
        return bool(self._going or self._asked) or self._overs != self._store.overs

    def turn(self, now: float, wall: datetime) -> None:
        """Go on with what was begun; else with what is planned; else look, when that is due."""
        if self._is_at_work:
            return
        begun = self._store.unended_prunings()
        if not begun and not self._may_plan(now):
            return
        if not begun and self._going and self._planned is not None:
            self._begin(*self._planned)
            begun = self._store.unended_prunings()
        if begun:
            self._remove(begun)
        elif not self._going:
            self._look(now, wall)

    def _may_plan(self, now: float) -> bool:
        """Say whether something is to be planned or begun, and no drop has to become a job before."""
        if now < self._not_before or not (self._is_wanted or now >= self._due):
            return False
        if self._waits_for_drops(now):
            self._not_before = now + SOON
            return False
        return True

    def _waits_for_drops(self, now: float) -> bool:
        """Say whether a file was dropped of which nobody knows yet what it reads."""
        if not any(_has_files(place) for place in (self._root.inbox, self._root.claims)):
            self._dropped = None
            return False
        self._dropped = now if self._dropped is None else self._dropped
        return now - self._dropped < DROPS_WITHIN

    # What is to go

    def _look(self, now: float, wall: datetime) -> None:
        asked, overs = self._asked[0] if self._asked else None, self._store.overs
        work = partial(plan, self._root, self.settings, wall, is_asked=asked is not None)
        if self._submit("what is to be pruned", work, partial(self._planning, asked)):
            self._due, self._overs = now + EVERY, overs

    def _planning(self, asked: _Asked | None, made: Future[Plan]) -> None:
        try:
            found = made.result()
        except Exception as error:
            self._due = 0.0
            if asked is not None and asked.answer is not None:
                self._asked.popleft()
                why = f"not now: {error}; fix that, and ask again"
                asked.answer.refuse(RequestRefusedError(why, code_of(error)))
            raise
        self._going, self._planned = deque(found.going), (found, asked.by if asked else "")
        if asked is not None:
            self._asked.popleft()
            if asked.answer is not None:
                asked.answer.settle(found.summary("is being removed"))

    def _begin(self, planned: Plan, by: str) -> None:
        """Note the next parts, unless what the plan was made of has changed: then it is made again."""
        if seen_in(self._root, self._store) != planned.seen:
            self._plan_anew(by)
            return
        try:
            for _ in range(min(AT_ONCE, len(self._going))):
                item, begun = self._going.popleft(), datetime.now(UTC)
                pruning = Pruning(item.job.id, item.part, item.bytes, item.why, begun, by)
                with suppress(TransitionError):  # it is retried: the next plan knows
                    self._store.begin_pruning(item.job, pruning)
        except Exception:  # it may be noted, or not
            self._plan_anew(by)
            raise

    def _plan_anew(self, by: str) -> None:
        """Look again what is to go, for anyone who has asked."""
        self._going.clear()
        self._due = 0.0
        if by:
            self._asked.append(_Asked(by, None))

    # Removing it

    def _remove(self, begun: Sequence[Pruning]) -> None:
        todo: list[tuple[Pruning, Job]] = []
        for pruning in begun[:AT_ONCE]:
            job = self._store.readable(pruning.job)
            if job is None or not job.state.is_over or job.changed > pruning.begun:  # an older glmd let it be retried
                self._store.give_up_pruning(pruning)
            else:
                todo.append((pruning, job))
        if todo:
            self._submit("pruning", partial(remove, self._root, todo), partial(self._removed, todo))

    def _removed(self, todo: Sequence[tuple[Pruning, Job]], done: Future[frozenset[int]]) -> None:
        gone = done.result()
        for pruning, job in todo:
            if pruning.id not in gone:  # somebody has put something there meanwhile
                self._store.give_up_pruning(pruning)
                continue
            self._store.end_pruning(pruning)
            fields = {"part": str(pruning.part), "bytes": pruning.bytes, "reason": pruning.reason, "user": pruning.by}
            if pruning.part is Part.RECORDS:
                log.info("pruned", job=job.id, **fields)
            else:
                job_log(job.directory(self._root.path).events, job=job.id, attempt=job.attempt).info("pruned", **fields)

    def _submit(self, what: str, work: Callable[[], Result], then: Callable[[Future[Result]], None]) -> bool:
        """Let it be done, unless it failed a moment ago; say whether."""
        if self._faults.is_paused(what):
            return False
        self._is_at_work = True
        self._workers.submit_apart(Lane.PRUNING, "pruning", work, partial(self._take, what, then))
        return True

    def _take(self, what: str, then: Callable[[Future[Result]], None], result: Future[Result]) -> None:
        self._is_at_work = False
        if self._faults.contain(what, partial(then, result)):
            self._faults.passed(what)


def _has_files(directory: Path) -> bool:
    with os.scandir(directory) as entries:
        return any(not entry.name.startswith(".") for entry in entries)


def remove(root: Root, todo: Sequence[tuple[Pruning, Job]]) -> frozenset[int]:
    """Remove these parts of jobs, and return the numbers of the removals that are done. Raises OSError.

    What is not as glmd leaves it any more stays. It may take minutes, and to do it again is harmless.
    """
    refuse_absent_jobs(root)
    done = set()
    for pruning, job in todo:
        directory = job.directory(root.path)
        there = pieces(directory, root.jobs.stat().st_uid)
        piece = there.get(pruning.part)
        if (piece is not None and piece.doubt) or (pruning.part is Part.RECORDS and there and piece is None):
            continue
        if piece is not None:
            trash.discard(directory, pruning.part, piece, root.jobs / trash.NAME / f"{job.label}-{pruning.id}")
        done.add(pruning.id)
    trash.empty(root.jobs / trash.NAME)
    return frozenset(done)
