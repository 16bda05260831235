"""The links `latest/PREFIX` and the store: each is brought to where its newest change says, or what is found is kept.

A link is moved behind the store's transaction, by a worker. When it is not where it was last seen, a worker looks why:
after a crash it is moved now; one that somebody has set or removed by hand is taken for a change like any other.
"""

import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog

from daemon.core.promotions import Kind, Promotion, Standing, target_of
from daemon.core.root import Root
from daemon.core.states import Job
from daemon.core.store import Store
from daemon.serve.jobs.published import Place, Seen, bring
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Lane, Workers
from handlers.records.job_dir import is_number

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Then = Callable[[OSError | None], None]

FIRST = "it led there before glmd recorded promotions"
BY_HAND = "somebody has set it"
REMOVED = "somebody has removed it"


class LatestLinks:
    """Keeps the links and the store together. For the loop's thread."""

    def __init__(self, root: Root, store: Store, waiting: Waiting, workers: Workers, faults: Faults) -> None:
        self._root = root
        self._store = store
        self._waiting = waiting
        self._workers = workers
        self._faults = faults
        self._seen: dict[str, str] = {}
        """Where each link led when it was last found to agree with the store."""
        self._unsure: set[str] = set()
        """The prefixes whose links are to be looked at."""
        self._asked: defaultdict[str, list[Then]] = defaultdict(list)

    def look_around(self) -> None:
        """Find the links that are not where they were last seen; at first those are all. Raises OSError."""
        there = {name for name in os.listdir(self._root.latest) if not name.startswith(".")}  # noqa: PTH208 - as Root's
        for prefix in there | self._store.promoted_prefixes():
            if self._seen.get(prefix) != self._text(prefix):
                self._unsure.add(prefix)

    def is_sure(self, prefix: str) -> bool:
        """Say whether the link of `prefix` was looked at since it was last moved, or seen to be moved."""
        return prefix not in self._unsure

    def bring(self, prefix: str, then: Then | None = None) -> None:
        """Let the link of `prefix` be brought to what the store says, and call `then`, with what hinders it if so."""
        self._unsure.add(prefix)
        if then is not None:
            self._asked[prefix].append(then)
        self._waiting.wake()

    def turn(self) -> None:
        """Have each link looked at that may be elsewhere."""
        for prefix in sorted(self._unsure):
            if not self._faults.is_paused(_what(prefix)):
                standing = self._store.standing(prefix)
                work = partial(bring, self._root, prefix, standing)
                key = ("latest", prefix)  # one at a time: the later one knows better where the link is to lead
                self._workers.submit_apart(Lane.JOBS, key, work, partial(self._brought, prefix, standing))

    def _brought(self, prefix: str, standing: Standing, brought: Future[Seen]) -> None:
        self._faults.contain(_what(prefix), partial(self._take, prefix, standing, brought))

    def _take(self, prefix: str, standing: Standing, brought: Future[Seen]) -> None:
        try:
            seen = brought.result()
        except OSError as error:
            self._tell(prefix, error)
            raise
        self._waiting.wake()
        now = self._store.standing(prefix)
        if now != standing:  # the next turn looks again
            return
        present = now.present
        if seen.place is Place.ELSEWHERE:
            self._adopt(self._found(prefix, seen, _why(present, BY_HAND)))
        elif seen.place is Place.GONE:
            self._adopt(Promotion(prefix, Kind.REMOVED, "", _now(), reason=_why(present, REMOVED), followed=True))
        elif seen.place is Place.FOLLOWS and present is not None and not present.followed:
            self._store.follow(present)
            log.info("latest_set", prefix=prefix, job=present.job, path=present.target)
        self._unsure.discard(prefix)
        if seen.place is not Place.USELESS:  # else what it leads to may come, or come back: it is looked at again
            self._seen[prefix] = self._text(prefix)
        self._faults.passed(_what(prefix))
        self._tell(prefix, None)

    def _tell(self, prefix: str, error: OSError | None) -> None:
        for then in self._asked.pop(prefix, ()):
            then(error)

    def _adopt(self, change: Promotion) -> None:
        self._store.promote(change)
        log.warning("latest_found", prefix=change.prefix, job=change.job, path=change.target, reason=change.reason)

    def _found(self, prefix: str, seen: Seen, reason: str) -> Promotion:
        found = Promotion(prefix, Kind.FOUND, seen.target, _now(), reason=reason, followed=True)
        job = self._job_at(seen.target)
        return found if job is None else replace(found, job=job.id, cycle=job.cycle)

    def _job_at(self, target: str) -> Job | None:
        """Return the job whose output lies at `target`."""
        number = target.removeprefix("jobs/").partition("-")[0]
        job = self._store.readable(int(number)) if is_number(number) else None
        return job if job is not None and target_of(job) == target else None

    def _text(self, prefix: str) -> str:
        """Return what the link says, without a look at what it leads to; empty where it is none."""
        with suppress(OSError):
            return os.readlink(self._root.latest / prefix)  # noqa: PTH115 - it need be no path
        return ""


def _why(present: Promotion | None, otherwise: str) -> str:
    """Return why the link is not where `present` says."""
    if present is None:
        return FIRST
    return otherwise if present.followed else f"{present.name} no longer has a whole output, and it was to lead there"


def _what(prefix: str) -> str:
    return f"latest/{prefix}"


def _now() -> datetime:
    return datetime.now(UTC)
