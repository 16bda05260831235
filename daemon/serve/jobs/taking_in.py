"""Taking runs that live into the store again: it is an older copy, or lost the job's row."""

from collections import deque
from dataclasses import replace
from pathlib import Path

import structlog
from pydantic import ValidationError

from daemon.core.living import Living
from daemon.core.names import digest_of
from daemon.core.new_job import source_of_drop
from daemon.core.states import MOST_FORGOTTEN, TRANSITIONS, Job, Source, State
from daemon.core.store import NewJob, Store
from handlers.ckpt.errors import CkptError
from handlers.ckpt.files.bounded import read_bounded
from handlers.codes import Code
from handlers.errors import RefusedError
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan

log: structlog.stdlib.BoundLogger = structlog.get_logger()

STATE_OF = {Step.TRAIN: State.TRAINING, Step.MERGE: State.MERGING, Step.EVALUATE: State.EVALUATING}
MOST_DROPPED = 1 << 20
"""Of a dropped file, by far."""


class NotTakenInError(RefusedError):
    """A run that lives has no place in the store."""

    code = Code.JOB_NOT_TAKEN_IN


def is_accounted_for(job: Job | None, found: Living, locks: dict[int, int]) -> bool:
    """Say whether the store, with these locks, knows of the run `found`, or has set it aside with its devices."""
    if job is None or job.name != found.run.name:
        return False
    if job.state.is_over:
        return found.run.step is Step.MERGE or _has_its_devices(found, locks)
    is_there = (job.state, job.attempt) == (STATE_OF[found.run.step], found.run.attempt)
    return is_there and (found.run.step is not Step.EVALUATE or _has_its_devices(found, locks))


def _has_its_devices(found: Living, locks: dict[int, int]) -> bool:
    return all(locks.get(device) == found.run.job for device in found.devices)


def take_in(found: Living, store: Store) -> Job:
    """Let the store know of the run `found`, by its job's directory and by what its processes are marked with.

    Raises NotTakenInError, or what `Store.move` raises, where the store has something else to say of the job or its
    devices; perhaps not for long.
    """
    run, wanted = found.run, STATE_OF[found.run.step]
    reason = f"recovered: the store did not know that its {run.step} runs (pid {', '.join(map(str, found.pids))})"
    try:
        job = store.job(run.job)
    except KeyError:
        if run.job in store.unreadable:
            raise NotTakenInError(f"the row of job {run.job} cannot be read") from None
        job = store.add_again(run.job, _new(found), reason)
    if job.name != run.name:
        raise NotTakenInError(f"the store's job {job.id} is {job.name}")
    if not 0 <= run.attempt - job.attempt <= MOST_FORGOTTEN:
        raise NotTakenInError(f"the store's job {job.id} is at attempt {job.attempt}")
    for state in way(job.state, wanted):
        job = store.move(job, state, reason)
    while job.attempt < run.attempt:
        job = store.move(job, wanted, reason, attempt=job.attempt + 1)
    if wanted is State.EVALUATING:
        store.take_devices(replace(job, devices=found.devices))
    log.warning("job_taken_in", job=job.id, attempt=job.attempt, devices=job.devices, reason=reason)
    return job


def way(state: State, wanted: State) -> tuple[State, ...]:
    """Return the shortest way from `state` to `wanted` in the table of transitions. Raises NotTakenInError for none."""
    ways: deque[tuple[State, ...]] = deque([(state,)])
    seen = {state}
    while ways:
        way = ways.popleft()
        if way[-1] is wanted:
            return way[1:]
        following = [one for one in State if one in TRANSITIONS[way[-1]] and one not in seen]
        seen.update(following)
        ways.extend((*way, one) for one in following)
    raise NotTakenInError(f"the store says that the job is {state}")


def _new(found: Living) -> NewJob:
    """Return what the job of `found` is made of, as far as its directory tells."""
    plan = plan_of(found.directory)
    content = content_of(found.directory.submitted, MOST_DROPPED)
    return NewJob(
        claim=f"taken-in:{found.run.label}",
        name=found.run.name,
        digest=digest_of(content) if content is not None else "",
        devices=_devices(found, plan),
        prefix=(plan and plan.merge.prefix) or "",
        source=source_of(found.directory, plan, found.run.name),
    )


def _devices(found: Living, plan: JobPlan | None) -> tuple[int, ...]:
    """Return the devices of the job: those that an evaluation is on may be others."""
    planned = plan.devices if plan is not None else ()
    return planned if found.run.step is Step.EVALUATE else found.devices or planned


def source_of(directory: JobDir, plan: JobPlan | None, name: str) -> Source:
    """Return what the job `name` was made of, as its directory with `plan` shows it."""
    is_of_a_tree = plan is not None and plan.train is None and not directory.submitted.exists()
    return Source.TREE if is_of_a_tree else source_of_drop(name)


def plan_of(directory: JobDir) -> JobPlan | None:
    """Return a job's plan; None where there is none that can be read."""
    try:
        return JobPlan.read(directory.plan)
    except (OSError, ValidationError):
        return None


def content_of(path: Path, most: int) -> bytes | None:
    """Return what is in a file of at most `most` bytes; None where that cannot be read."""
    try:
        return read_bounded(path, most)
    except (OSError, CkptError):
        return None
