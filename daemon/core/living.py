"""Which runs of a root's jobs live on this host, by locks and marks (handlers.shim.marks) and not by what files say."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from daemon.core.root import Root
from daemon.core.states import ON_DEVICES, Job
from handlers.records.evaluation_plan import EvaluationPlan
from handlers.records.job_dir import JobDir, Step, is_number
from handlers.records.job_plan import JobPlan
from handlers.records.process import ProcessIdentity
from handlers.shim.marks import Marked, marked_processes


@dataclass(frozen=True, order=True)
class Run:
    """One run of a step: of which job, as which attempt."""

    job: int
    attempt: int
    step: Step
    name: str
    """The job's."""

    @classmethod
    def of(cls, job: Job, step: Step) -> Self:
        """Return the run of `step` as the present attempt of `job`."""
        return cls(job.id, job.attempt, step, job.name)

    @property
    def label(self) -> str:
        """The name of the job's directory."""
        return f"{self.job:04d}-{self.name}"


@dataclass(frozen=True)
class Living:
    """A run somebody works for."""

    run: Run
    directory: JobDir
    """The job's, where it is now."""
    shim: ProcessIdentity | None
    """None when it is gone, and others of its processes are not."""
    others: tuple[ProcessIdentity, ...]
    devices: tuple[int, ...]

    @property
    def pids(self) -> tuple[int, ...]:
        """All that work for it."""
        return tuple(one.pid for one in (*((self.shim,) if self.shim else ()), *self.others))


def living(root: Root, job: int | None = None) -> tuple[Living, ...]:
    """Return the runs of the jobs of `root`, or of one job, that somebody works for. Raises OSError.

    Each belongs to the root that it was started in, or its directory is in now: roots may be moved.
    """
    jobs = Path(os.path.realpath(root.jobs))
    found = [(run, process) for process in marked_processes() if (run := _run_of(process, jobs)) is not None]
    wanted = sorted(
        ((run, process) for run, process in found if job is None or run.job == job),
        key=lambda pair: (pair[0], pair[1].identity.start_time),
    )
    return tuple(
        _living(run, [process for _, process in group]) for run, group in groupby(wanted, key=lambda pair: pair[0])
    )


def working_on(root: Root, devices: tuple[int, ...]) -> Iterator[Living]:
    """Yield the trainings and evaluations that hold any of `devices`. Raises OSError."""
    for one in living(root):
        if one.run.step in ON_DEVICES and not set(devices).isdisjoint(one.devices):
            yield one


def _run_of(process: Marked, jobs: Path) -> Run | None:
    return _named(process.step, jobs) or _named(process.place, jobs)


def _named(step: Path, jobs: Path) -> Run | None:
    """Return the run whose records are in `step`, if that is in `jobs`."""
    if not step.is_relative_to(jobs):
        return None
    match step.relative_to(jobs).parts:
        case (label, "attempts", attempt, ("train" | "merge" | "evaluate") as what):
            number, _, name = label.partition("-")
            if is_number(number) and is_number(attempt) and int(number) and int(attempt):
                return Run(int(number), int(attempt), Step(what), name)
    return None


def _living(run: Run, processes: list[Marked]) -> Living:
    # Between fork and exec a rank looks like its shim, which is older.
    shim = next((one for one in processes if one.is_shim), None)
    place = shim.place if shim is not None else processes[0].step
    directory = JobDir(place.parents[2])
    return Living(
        run=run,
        directory=directory,
        shim=None if shim is None else shim.identity,
        others=tuple(one.identity for one in processes if one is not shim),
        devices=next((one.devices for one in processes if one.devices), ()) or _planned(directory, run),
    )


def _planned(directory: JobDir, run: Run) -> tuple[int, ...]:
    """Return the devices of a run of which no process has a mark that tells: an older glmd gave them none."""
    try:
        if run.step is Step.EVALUATE:
            return EvaluationPlan.read(directory.step(run.attempt, run.step).plan).devices
        return JobPlan.read(directory.plan).devices
    except (OSError, ValidationError):
        return ()
