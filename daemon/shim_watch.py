"""Waking up when a shim ends."""

import os
from functools import partial

from daemon.root import Root
from daemon.states import Job
from daemon.waiting import Waiting
from handlers.events import job_log
from handlers.job_dir import Step
from handlers.process import ProcessIdentity


class ShimWatch:
    """Lets the loop turn at the end of each shim that is followed, one a job."""

    def __init__(self, root: Root, waiting: Waiting) -> None:
        self._root = root
        self._waiting = waiting
        self._descriptors: dict[int, int] = {}

    def follow(self, job: Job, step: Step, identity: ProcessIdentity) -> None:
        """Wait for the end of the shim that works for `job`; asking again is harmless. Raises OSError."""
        if job.id in self._descriptors:
            return
        descriptor = identity.pidfd()
        if descriptor is None:
            self._waiting.wake()  # it has ended just now, and the next turn sees how
            return
        self._descriptors[job.id] = descriptor
        # The loop turns after every wait, so that waking up is all that is to be done.
        self._waiting.watch(descriptor, partial(self.let_go, job.id))
        job_log(job.directory(self._root.path).events, job=job.id, attempt=job.attempt).info(
            "shim_watched", step=str(step), pid=identity.pid
        )

    def let_go(self, job: int) -> None:
        """Wait for the end of the job's shim no longer; it goes on."""
        if job in self._descriptors:
            descriptor = self._descriptors.pop(job)
            self._waiting.unwatch(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Let go of all."""
        for job in tuple(self._descriptors):
            self.let_go(job)
