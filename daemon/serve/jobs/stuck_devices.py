"""Processes of a training that is over: while they are there, their job keeps its devices locked.

Even SIGKILL did not end them: they sit in the kernel (state D), and hold what they held. Or glmd has set the job aside,
and its ranks train on. Nothing outlives a reboot.
"""

import contextlib

import structlog
from pydantic import ValidationError

from daemon.core.control import RequestRefusedError
from daemon.core.living import living
from daemon.core.root import Root
from daemon.core.states import MAY_HOLD_DEVICES, ON_DEVICES, Job
from daemon.core.store import Store
from daemon.core.vanished import refuse_absent_jobs
from handlers.codes import Code
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import StepExit, still_there

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def surviving_pids(job: Job, root: Root) -> tuple[int, ...]:
    """Return the pids of what is there still of the job's trainings and evaluations, and of their shims.

    Raises OSError.
    """
    refuse_absent_jobs(root)
    directory = job.directory(root.path)
    if pids := tuple(pid for one in living(root, job.id) if one.run.step in ON_DEVICES for pid in one.pids):
        return pids
    return (*_left(directory, job.attempt, Step.TRAIN), *_left(directory, job.attempt, Step.EVALUATE))


def _left(directory: JobDir, last: int, step: Step) -> tuple[int, ...]:
    """Return what is there still of what `step` left behind as the last attempt that has a record of its end."""
    for attempt in range(last, 0, -1):
        with contextlib.suppress(FileNotFoundError, ValidationError):
            return still_there(StepExit.read(directory.step(attempt, step).exit))
    return ()


def free_devices(job: Job, store: Store, root: Root) -> None:
    """Free what `job` keeps locked because of processes that have gone since. Raises OSError."""
    if job.state not in MAY_HOLD_DEVICES and not surviving_pids(job, root):
        store.free_devices(job)
        log.info("devices_freed", job=job.id, devices=job.devices)


def refuse_while_stuck(job: Job, store: Store, root: Root) -> None:
    """Raise RequestRefusedError while processes that `job` has left behind hold its devices; else free these."""
    if job.state in MAY_HOLD_DEVICES or job.id not in store.locks().values():
        return
    if pids := surviving_pids(job, root):
        raise RequestRefusedError(
            f"job {job.id} has left processes that cannot be ended (pid {', '.join(map(str, pids))}); its devices stay "
            "locked while these are there: fix what they wait for (storage, the driver), or reboot the host",
            Code.SHIM_SURVIVORS,
        )
    store.free_devices(job)
