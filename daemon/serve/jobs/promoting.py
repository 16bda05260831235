"""What becomes of a judged output: `latest` leads to it or not, and its job is done.

A promotion is a row in the store first, then the link, and only then the job is done: anyone who sees it done may go on
from `latest`. After a crash the row says where the link is to lead, and that the job was promoted.
"""

from concurrent.futures import Future
from functools import partial

from daemon.core.promotions import Promotion, Standing, target_of
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.serve.jobs.latest_links import LatestLinks
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.weighing import Weighed, weigh
from daemon.serve.jobs.writers import Writers
from daemon.serve.loop.faults import Faults
from handlers.codes import Code
from handlers.events import job_log
from handlers.gate.verdict import Verdict


class Promoting:
    """Promotes the outputs of jobs. For the loop's thread."""

    def __init__(
        self, root: Root, store: Store, moves: Moves, links: LatestLinks, writers: Writers, faults: Faults
    ) -> None:
        self._root = root
        self._store = store
        self._moves = moves
        self._links = links
        self._writers = writers
        self._faults = faults

    def settle(self, job: Job, verdict: Verdict, reason: str) -> None:
        """Let `job` be done, and `latest` lead to its output where that may be; `reason` is what its step said.

        To be called again with every turn, until it is done: what is not known yet is being found out.
        """
        if self._store.is_promoted(job):
            if self._links.is_sure(job.prefix):  # `latest` leads there by now
                self._moves.move(job, State.DONE, reason)
        elif not verdict.passed:
            self._keep(job, Weighed(promoted=False, reason=verdict.reason, code=verdict.code), reason)
        elif not job.prefix:  # an older glmd took it in again and knew none
            self._moves.move(job, State.DONE, reason)
        elif self._links.is_sure(job.prefix):
            standing = self._store.standing(job.prefix)
            self._writers.submit(
                job,
                _what(job),
                partial(weigh, job, self._root, standing, self._store.rivals(job.prefix)),
                partial(self._weighed, job, standing, reason),
            )

    def _weighed(self, job: Job, standing: Standing, reason: str, weighed: Future[Weighed | None]) -> None:
        found = weighed.result()  # an OSError is waited for: the next turn weighs again
        self._faults.passed(_what(job))
        if found is None or self._store.standing(job.prefix) != standing:
            self._links.bring(job.prefix)
        elif not found.promoted:
            self._keep(job, found, reason)
        elif standing.present is not None and standing.present.target == target_of(job):  # somebody was first
            self._moves.move(job, State.DONE, reason)
        else:
            self._links.bring(job.prefix)  # behind this, but to be known though an error may come of what is done
            self._store.promote(Promotion.of(job, reason=found.reason))

    def _keep(self, job: Job, why: Weighed, reason: str) -> None:
        """Let `job` be done without being promoted."""
        note = f"not promoted: {why.reason}" if why.reason else ""
        if note:
            log = job_log(job.directory(self._root.path).events, job=job.id, attempt=job.attempt)
            log.info("latest_kept", code=why.code or Code.PROMOTION_NOT_PASSED, reason=why.reason)
        self._moves.move(job, State.DONE, "; ".join(part for part in (note, reason) if part), why.code)


def _what(job: Job) -> str:
    return f"promoting job {job.id}"
