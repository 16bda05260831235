"""What clients ask of `latest/PREFIX`: to promote a job's output, and to go back to what was promoted before.

The loop does not wait for the files that are read for it: the answer follows.
"""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count

import structlog

from daemon.core.error_codes import code_of
from daemon.core.promotions import Kind, Promotion, Standing, target_of
from daemon.core.request import Pending, Request, RequestRefusedError
from daemon.core.root import Root
from daemon.core.states import Job
from daemon.core.store import Store
from daemon.core.users import User
from daemon.serve.jobs.latest_links import LatestLinks
from daemon.serve.jobs.published import newest_whole
from daemon.serve.jobs.requests import Requests
from daemon.serve.jobs.weighing import NotPromotedError, weigh_as_asked
from daemon.serve.loop.faults import Defect, Faults
from daemon.serve.loop.workers import Lane, Workers
from handlers.codes import Code
from handlers.merging.latest import is_occupied
from handlers.printable import printable
from handlers.retention.part import Part

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_MOST = 16
"""Requests that wait for their answers at a time."""
_TRIES = 5
"""How often what was found is found to be out of date: jobs promote meanwhile."""
_LONGEST_REASON = 500


@dataclass(frozen=True)
class _Change:
    """A change that may be made, as was found out."""

    row: Promotion
    back_to: Promotion | None = None
    """For a rollback: what was promoted then."""


Weighing = Callable[[Standing], Callable[[], _Change | None]]
"""Makes the work that finds out which change may be made; that returns None where the link is to be looked at first."""


@dataclass
class _Asked:
    prefix: str
    weighing: Weighing
    answer: Pending
    tries: int = 0


class PromotionRequests:
    """Does what is asked for. For the loop's thread."""

    def __init__(
        self, root: Root, store: Store, links: LatestLinks, workers: Workers, faults: Faults, requests: Requests
    ) -> None:
        self._root = root
        self._store = store
        self._links = links
        self._workers = workers
        self._faults = faults
        self._requests = requests
        self._numbers = count()
        self._waiting = 0

    def promote(self, job: Job, request: Request, by: User) -> Pending:
        """Let `latest` lead to what `job` has merged. Raises RequestRefusedError, or the answer says so."""
        self._requests.refuse_strangers(job, by)
        if not job.state.is_over or not job.prefix:
            why = f"it is {job.state}" if job.prefix else "its prefix is not known"
            raise RequestRefusedError(f"job {job.id} has no output to promote: {why}", Code.PROMOTION_NOT_WHOLE)
        self._requests.note("promote_asked", job, by)
        row = Promotion.of(job, by=by.name, reason=_shortened(request.reason))
        self._refuse_gone(row)
        return self._begin(job.prefix, partial(self._promoting, job, row, request.force))

    def roll_back(self, request: Request, to: Job | None, by: User) -> Pending:
        """Let `latest/PREFIX` lead to what was promoted before. Raises RequestRefusedError, or the answer says so."""
        present = self._store.standing(request.prefix).present
        if present is None:
            raise RequestRefusedError(
                f"nothing was ever promoted as latest/{printable(request.prefix)}; `glmd promotions` lists what was",
                Code.PROMOTION_PREFIX,
            )
        self._requests.refuse_strangers(None if present.job is None else self._store.readable(present.job), by)
        if to is not None:
            self._refuse_gone(Promotion.of(to))
        return self._begin(request.prefix, partial(self._rolling_back, request, to, by))

    # What is found out by a worker

    def _promoting(self, job: Job, row: Promotion, force: bool, standing: Standing) -> Callable[[], _Change | None]:  # noqa: FBT001 - of one caller
        return partial(_may_promote, job, self._root, standing, row, force=force)

    def _rolling_back(
        self, request: Request, to: Job | None, by: User, standing: Standing
    ) -> Callable[[], _Change | None]:
        here = standing.present.target if standing.present else ""
        others = [one for one in self._store.promoted(request.prefix) if one.target != here]
        if to is not None:
            others = [one for one in others if one.job == to.id]
        row = Promotion(
            request.prefix, Kind.ROLLBACK, "", datetime.now(UTC), by=by.name, reason=_shortened(request.reason)
        )
        return partial(_may_roll_back, self._root, row, others, to)

    # Step by step

    def _begin(self, prefix: str, weighing: Weighing) -> Pending:
        if self._waiting >= _MOST:
            raise RequestRefusedError("too many ask for this at once; ask again", Code.DAEMON_BUSY)
        self._waiting += 1
        asked = _Asked(prefix, weighing, Pending())
        self._links.bring(prefix, partial(self._together, asked))
        return asked.answer

    def _together(self, asked: _Asked, error: OSError | None) -> None:
        """Have it found out which change may be made, now that the link is where the store says."""
        if error is not None:
            self._refuse(asked, f"not now: {error}; fix that, and ask again", code_of(error))
            return
        with self._answering(asked):
            standing = self._store.standing(asked.prefix)
            work = asked.weighing(standing)
        key = ("asked", next(self._numbers))
        self._workers.submit_apart(Lane.JOBS, key, work, partial(self._weighed, asked, standing))

    def _weighed(self, asked: _Asked, standing: Standing, weighed: Future[_Change | None]) -> None:
        what = f"asked of latest/{asked.prefix}"
        aside = partial(self._set_aside, asked)
        with self._answering(asked):
            self._faults.contain(what, partial(self._decide, asked, standing, weighed), aside)

    @contextmanager
    def _answering(self, asked: _Asked) -> Iterator[None]:
        """Answer also where the store cannot be used, which is for the loop to deal with."""
        try:
            yield
        except sqlite3.Error as error:
            self._refuse(asked, f"not now: {error}; fix that, and ask again", code_of(error))
            raise

    def _set_aside(self, asked: _Asked, defect: Defect) -> None:
        self._refuse(asked, f"{defect.reason}; its traceback is in the daemon's log", Defect.CODE)

    def _decide(self, asked: _Asked, standing: Standing, weighed: Future[_Change | None]) -> None:
        try:
            change = weighed.result()
        except NotPromotedError as error:
            self._refuse(asked, str(error), error.code)
            return
        except OSError as error:
            self._refuse(asked, f"not now: {error}; fix that, and ask again", code_of(error))
            return
        if change is None or self._store.standing(asked.prefix) != standing:
            asked.tries += 1
            if asked.tries < _TRIES:
                self._links.bring(asked.prefix, partial(self._together, asked))
            else:
                self._refuse(asked, f"latest/{asked.prefix} keeps changing; ask again", Code.DAEMON_BUSY)
            return
        if why := self._why_gone(change.row):
            self._refuse(asked, why, Code.PROMOTION_GONE)
            return
        before = standing.present
        if before is not None and before.target == change.row.target:
            self._settle(asked, f"latest/{asked.prefix} leads to {before.name} already")
            return
        self._links.bring(asked.prefix)  # in any case: an error may come of a change that is made
        details = self._make(change, before)
        self._links.bring(asked.prefix, partial(self._made, asked, change, details))

    def _refuse_gone(self, row: Promotion) -> None:
        if why := self._why_gone(row):
            raise RequestRefusedError(why, Code.PROMOTION_GONE)

    def _why_gone(self, row: Promotion) -> str:
        """Return what is to be said of an output that is being removed, or was; empty where it stays."""
        job = None if row.job is None else self._store.readable(row.job)
        if job is None or row.target != target_of(job):
            return ""
        found = [one for one in self._store.prunings_of(job) if one.part in {Part.MERGED, Part.RECORDS}]
        return f"the merged output of job {job.id} is gone: {found[-1].text}" if found else ""

    def _make(self, change: _Change, before: Promotion | None) -> str:
        """Write the change down; return what there is to tell of it besides."""
        row, back_to = change.row, change.back_to
        gone: set[int] = set()
        if back_to is None:
            self._store.promote(row)
        else:
            behind = (one for one in self._store.promoted(row.prefix) if one.id > back_to.id)
            gone = {one.job for one in behind if one.job is not None} - {row.job}
            self._store.roll_back(row, back_to)
        log.info("latest_asked_for", kind=row.kind, prefix=row.prefix, job=row.job, user=row.by, reason=row.reason)
        details = f" instead of {before.name}" if before is not None else ""
        for job in self._store.continuing(gone):
            details += f"; job {job.id}, which is {job.state}, starts from job {job.continues} anyway"
        return details

    def _made(self, asked: _Asked, change: _Change, details: str, error: OSError | None) -> None:
        where = f"latest/{asked.prefix} leads to {change.row.name} now{details}"
        if error is not None:
            where = f"latest/{asked.prefix} is to lead to {change.row.name}{details}; it cannot be moved yet: {error}"
        self._settle(asked, where)

    def _settle(self, asked: _Asked, answer: str) -> None:
        self._waiting -= 1
        asked.answer.settle(answer)

    def _refuse(self, asked: _Asked, why: str, code: str) -> None:
        self._waiting -= 1
        asked.answer.refuse(RequestRefusedError(why, code))


def _may_promote(job: Job, root: Root, standing: Standing, row: Promotion, *, force: bool) -> _Change | None:
    if standing.present is not None and standing.present.target == target_of(job):
        return _Change(row)  # nothing is to be done
    return _Change(row) if weigh_as_asked(job, root, standing, force=force) else None


def _may_roll_back(root: Root, row: Promotion, others: list[Promotion], to: Job | None) -> _Change:
    if is_occupied(root.latest / row.prefix):
        what = f"latest/{row.prefix} stays as it is: it is no symbolic link; remove it"
        raise NotPromotedError(what, Code.PROMOTION_NO_LINK)
    found = newest_whole(root, others)
    if found is None:
        which = "nothing" if to is None else f"job {to.id} is not what"
        hint = f"glmd promotions {row.prefix} lists what was; glmd promote JOB takes any output that is whole"
        gone = f", as far as it is there: {', '.join(one.name for one in others[:3])} is not whole" if others else ""
        raise NotPromotedError(
            f"{which} was promoted as latest/{row.prefix} before{gone}; {hint}", Code.PROMOTION_NOTHING_BEFORE
        )
    return _Change(replace(row, target=found.target, job=found.job, cycle=found.cycle), found)


def _shortened(reason: str) -> str:
    return printable(reason)[:_LONGEST_REASON]
