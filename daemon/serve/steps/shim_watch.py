"""The shims that are followed, each held by a descriptor of the kernel's: what that says counts before any file."""

import os
from dataclasses import dataclass
from functools import partial

from daemon.core.living import Run
from daemon.core.root import Root
from daemon.core.states import Job
from daemon.serve.loop.waiting import Waiting
from handlers.events import job_log
from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity


@dataclass(frozen=True)
class Followed:
    """A shim that lives."""

    run: Run
    identity: ProcessIdentity
    devices: tuple[int, ...]
    """Of its job."""
    pidfd: int


class ShimWatch:
    """Lets the loop turn at the end of each shim that is followed, one a job."""

    def __init__(self, root: Root, waiting: Waiting) -> None:
        self._root = root
        self._waiting = waiting
        self._followed: dict[int, Followed] = {}
        self._known: set[Run] = set()

    def follow(self, job: Job, step: Step, identity: ProcessIdentity) -> None:
        """Wait for the end of the shim that works for `job`; asking again is harmless. Raises OSError."""
        run = Run.of(job, step)
        if (before := self._followed.get(job.id)) is not None:
            if before.run == run:
                return
            self.let_go(job.id)
        pidfd = identity.pidfd()
        if pidfd is None:
            self._waiting.wake()  # it has ended just now, and the next turn sees how
            return
        self._known.add(run)
        self._followed[job.id] = Followed(run, identity, job.devices, pidfd)
        # The loop turns after every wait, so that waking up is all that is to be done.
        self._waiting.watch(pidfd, partial(self.let_go, job.id))
        job_log(job.directory(self._root.path).events, job=job.id, attempt=job.attempt).info(
            "shim_watched", step=str(step), pid=identity.pid
        )

    def of(self, job: Job, step: Step) -> Followed | None:
        """Return the shim that works for this step of the present attempt of `job`; None when none is followed."""
        followed = self._followed.get(job.id)
        run = Run.of(job, step)
        return followed if followed is not None and followed.run == run else None

    def was_there(self, job: Job, step: Step) -> bool:
        """Say whether a shim of this step of the present attempt was ever followed."""
        return Run.of(job, step) in self._known

    @property
    def all(self) -> tuple[Followed, ...]:
        """All that live."""
        return tuple(self._followed.values())

    def let_go(self, job: int) -> None:
        """Wait for the end of the job's shim no longer; it goes on."""
        followed = self._followed.pop(job, None)
        if followed is not None:
            self._waiting.unwatch(followed.pidfd)
            os.close(followed.pidfd)

    def close(self) -> None:
        """Let go of all."""
        for job in tuple(self._followed):
            self.let_go(job)
