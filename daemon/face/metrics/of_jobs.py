"""Samples of the jobs that are at work, and of no others: a job that is over leaves none behind."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import ACTIVE, Job, State
from daemon.face.below import read_below
from daemon.face.metrics import families
from daemon.face.metrics.family import Sample
from daemon.face.metrics.glances import Glances
from daemon.face.ranks import RankStatus, ranks_of
from daemon.face.training import record_of
from handlers.rank_log.phase import Phase
from handlers.records.job_dir import JobDir
from handlers.records.train_plan import TimeLimits
from handlers.shim.limit_clock import quiet_limit

MOST_JOBS = 100
"""That have samples of their own, the oldest: more are at work where evaluations wait for devices."""
_MOST_PLAN = 4 << 20
"""Bytes of a plan, of which the time limits are read; one of eight ranks has 20 KB."""


def of_jobs(root: Root, glances: Glances) -> Iterator[Sample]:
    """Yield them. Raises StoreError, OSError."""
    with ReadStore.open(root.store) as store:
        jobs = store.jobs(ACTIVE)[:MOST_JOBS]
        held = store.locks()
        entered = {number: steps[-1].at for number, steps in store.histories([job.id for job in jobs]).items()}
        holders = store.readable_among({*held.values()})
    glances.forget_all_but([job.directory(root.path).path for job in jobs])
    yield from _devices(held, holders)
    for job in jobs:
        since = entered.get(job.id, job.changed)
        yield families.JOB_INFO(1, job.id, job.name, job.prefix, job.cycle, job.attempt)
        yield families.JOB_ENTERED(since.timestamp(), job.id, job.name, job.state)
        if job.state is State.TRAINING:
            yield from _training(job, root.path, since, glances)


def _devices(held: Mapping[int, int], holders: Mapping[int, Job]) -> Iterator[Sample]:
    for device, number in held.items():
        if (job := holders.get(number)) is not None:
            rank = job.devices.index(device) if device in job.devices else ""
            yield families.DEVICE_JOB(1, device, job.id, job.name, rank)


def _training(job: Job, root: Path, since: datetime, glances: Glances) -> Iterator[Sample]:
    of_job, directory = (job.id, job.name), job.directory(root)
    ranks = ranks_of(job, root)
    written = {status.rank: _changed(directory.rank_log(status.rank)) for status in ranks}
    yield from _progress(of_job, ranks)
    yield from _recorded(of_job, job, directory, glances)
    for status in ranks:
        device = "" if job.nodes or status.device is None else status.device  # of a node: another one than this host's
        of_rank = (*of_job, status.rank, device, status.node)
        if status.number is not None:
            yield families.RANK_STEPS(status.number, *of_rank)
        if (at := written[status.rank]) is not None:
            yield families.RANK_LINE(at, *of_rank)
    signs = [since.timestamp(), *(at for at in written.values() if at is not None), *_saved(directory)]
    yield families.JOB_SIGN(max(signs), *of_job)
    newest = max(ranks, key=lambda status: written[status.rank] or 0.0, default=None)
    limit = _limit(directory, Phase.LOAD if newest is None else newest.phase)
    if limit is not None:
        yield families.JOB_LIMIT(limit, *of_job)


def _progress(of_job: tuple[int, str], ranks: Sequence[RankStatus]) -> Iterator[Sample]:
    """Yield how far it is, by the highest rank: with pipeline stages only the last one's loss is the loss."""
    progress = next((status.progress for status in reversed(ranks) if status.progress is not None), None)
    if progress is None:
        return
    yield families.JOB_EPOCH(progress.epoch, *of_job)
    yield families.JOB_EPOCHS(progress.epochs, *of_job)
    yield families.JOB_STEPS((progress.epoch - 1) * progress.steps + progress.step, *of_job)
    yield families.JOB_PLANNED(progress.epochs * progress.steps, *of_job)
    yield families.JOB_LOSS(progress.loss, *of_job)
    if progress.seconds_per_step is not None:
        yield families.JOB_STEP_SECONDS(progress.seconds_per_step, *of_job)
    if progress.eta_seconds is not None:
        yield families.JOB_REMAINING(progress.eta_seconds, *of_job)


def _recorded(of_job: tuple[int, str], job: Job, directory: JobDir, glances: Glances) -> Iterator[Sample]:
    """Yield what its log lines say beyond that, by their record."""
    found = [glances.at(directory.path, record_of(directory, attempt)) for attempt in directory.attempts()]
    there = [glance for glance in found if glance is not None]
    rows = there[-1].rows if there else []
    if not rows:
        return
    last = rows[-1].step
    yield families.JOB_OVERFLOWS(sum(glance.overflows for glance in there), *of_job)
    if last.learning_rate is not None:
        yield families.JOB_RATE(last.learning_rate, *of_job)
    if last.loss_scale is not None:
        yield families.JOB_SCALE(last.loss_scale, *of_job)
    speeds = sorted(row.step.samples for row in rows if row.step.samples is not None)
    if speeds:
        yield families.JOB_SAMPLES(speeds[len(speeds) // 2] * len(job.ranks), *of_job)


def _saved(directory: JobDir) -> Iterator[float]:
    """Yield when each file below the checkpoints was written, as the shim looks at them."""
    for parent, _, names in os.walk(directory.output / "checkpoint"):
        for name in names:
            if (at := _changed(Path(parent, name))) is not None:
                yield at


def _changed(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except OSError:  # not there yet, or deleted for a newer one
        return None


def _limit(directory: JobDir, phase: Phase) -> float | None:
    """Return how long a silence may be; None where there is no limit, or nobody can say."""
    try:
        limits = TimeLimits.in_plan(read_below(directory.path, directory.plan, _MOST_PLAN))
    except (OSError, ValueError):
        return None
    return quiet_limit(limits, phase)[1]
