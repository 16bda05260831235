"""A root with jobs that have merged, and all that promotes them, turned by hand."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from daemon.core.promotions import Promotion
from daemon.core.request import Pending, Reply, Request
from daemon.core.root import Root
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from daemon.core.users import User
from daemon.serve.jobs.latest_links import LatestLinks
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.promoting import Promoting
from daemon.serve.jobs.promotion_requests import PromotionRequests
from daemon.serve.jobs.requests import Requests
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.jobs.writers import Writers
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Workers
from handlers.ckpt.planning.origin import Origin
from handlers.gate.verdict import Verdict
from handlers.merging.merge import run as merge_run
from handlers.records.job_plan import JobPlan, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan
from tests.unit.handlers.ckpt.ckpt_writer import small_run

PATIENCE = 60.0
PASSED = Verdict(passed=True)


class Promoter:
    """Its jobs are of prefix glm-6b; each one's training began in the minute of its number, or as it is said."""

    def __init__(self, path: Path) -> None:
        self.root = Root(path / "root")
        self.root.create()
        self.output = path / "run"
        run = small_run(self.output)
        run.write()
        self.link = self.root.latest / "glm-6b"
        self.begin()

    def begin(self) -> None:
        """Begin as a daemon does that has just been started."""
        self.store, self.waiting, self.faults = Store.open(self.root.store), Waiting(), Faults(0.01, 0.01)
        workers = Workers(self.waiting.wake)
        self.workers = workers
        self.links = LatestLinks(self.root, self.store, self.waiting, workers, self.faults)
        moves = Moves(self.root, self.store, self.waiting)
        set_aside = SetAside(self.root, self.store, self.waiting)
        writers = Writers(self.root, self.store, workers, self.faults, set_aside)
        self.promoting = Promoting(self.root, self.store, moves, self.links, writers, self.faults)
        self.requests = Requests(self.root, self.store, self.waiting)
        self.asked = PromotionRequests(self.root, self.store, self.links, workers, self.faults, self.requests)
        self.is_to_look_around = True

    def end(self) -> None:
        """End as a daemon does, at any moment."""
        self.waiting.__exit__()
        self.store.close()

    def restart(self) -> None:
        """Let another one begin, and look around."""
        self.end()
        self.begin()
        self.until(lambda: self.links.is_sure("glm-6b"), "the link to be looked at")

    def job(
        self, cycle: str = "", *, minute: int | None = None, can_be_continued: bool = True, nan: bool = False
    ) -> Job:
        """Add a job whose merge has just come to its end."""
        count = self.store.highest() + 1
        name, source = (f"{cycle}-20261129T{count:06}Z", Source.NIGHT) if cycle else (f"run{count}", Source.DROP)
        job = self.store.add(NewJob(f"claim {count}", name, prefix="glm-6b", source=source))
        for state in (State.PREPARING, State.TRAINING, State.MERGING):
            job = self.store.move(job, state)
        directory = job.directory(self.root.path)
        directory.path.mkdir()
        shutil.copytree(self.output, directory.output)
        if nan:
            run = small_run(directory.output)
            run.tensors["layers.0.query_key_value.bias"][3] = float("nan")
            run.write()
        began = f"2026-11-28T10:{count if minute is None else minute:02}:00+00:00"
        merge = MergePlan(
            source=directory.output,
            destination=directory.merged,
            can_be_continued=can_be_continued,
            allow_not_finite=("*",),
            origin=Origin(job=job.id, began=began),
        )
        JobPlan(
            job=job.id, name=job.name, train=TrainPlan(processes=(), limits=TimeLimits()), merge=merge
        ).publish(directory.plan)  # fmt: skip
        merge_run(merge)
        return job

    def settle(self, job: Job, verdict: Verdict = PASSED) -> Job:
        """Let a job be done, and its prefix be sure."""

        def is_done() -> bool:
            now = self.store.job(job.id)
            if now.state is not State.DONE and not self.faults.is_paused(f"promoting job {job.id}"):
                self.promoting.settle(now, verdict, "tag 31_4")
            return now.state is State.DONE and self.links.is_sure("glm-6b")

        self.until(is_done, f"job {job.id} to be done")
        return self.store.job(job.id)

    def done(self, cycle: str = "", *, minute: int | None = None, nan: bool = False) -> Job:
        """Add a job and let it be done."""
        return self.settle(self.job(cycle, minute=minute, nan=nan))

    def promote(self, job: Job, *, force: bool = False, reason: str = "", by: int = 0) -> Reply:
        """Ask for it, and return the answer."""
        request = Request("promote", job.id, reason=reason, force=force)
        return self.answer(self.asked.promote(job, request, User(by)))

    def roll_back(self, to: Job | None = None, *, reason: str = "", by: int = 0) -> Reply:
        """Ask for it, and return the answer."""
        return self.answer(self.asked.roll_back(Request("rollback", prefix="glm-6b", reason=reason), to, User(by)))

    def answer(self, pending: Pending) -> Reply:
        """Wait for an answer."""
        replies: list[Reply] = []
        pending.then(replies.append)
        self.until(lambda: bool(replies), "an answer")
        return replies[0]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Turn as the daemon's loop does."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.workers.deliver()
            if self.is_to_look_around:
                self.is_to_look_around = not self.faults.attempt("latest", self.links.look_around)
            self.links.turn()
            if condition():
                return
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}: {self.faults.summary}"
            self.waiting.wait(0.02)

    def look_around(self) -> None:
        """Look as every `inbox.rescan`, and let what is found be acted upon."""
        self.is_to_look_around = True
        self.until(lambda: self.links.is_sure("glm-6b"), "the link to be looked at")

    @property
    def leads_to(self) -> int | None:
        """The job that the link leads to; None where it is not there."""
        if not self.link.is_symlink():
            return None
        return int(self.link.resolve().parent.name.partition("-")[0])

    def set_by_hand(self, job: Job) -> None:
        """Do as `ln -sfn` does."""
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(job.directory(self.root.path).merged)

    def rows(self) -> list[tuple[str, int | None]]:
        """Return what the store says has happened."""
        return [(str(row.kind), row.job) for row in self.store.promotions()]

    def newest(self) -> Promotion:
        """Return the newest change."""
        return self.store.promotions()[-1]
