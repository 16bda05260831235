"""What `glmd status` shows, as data: read from the store and the job directories, so it works with the daemon down."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.states import Job, State
from daemon.store import Store, Transition
from handlers.rank_log.progress import Progress, read_progress

if TYPE_CHECKING:
    from handlers.outcome import StepExit

RECENT = 10
"""Jobs that are over and shown all the same; `--all` shows every one."""


class Presence(Enum):
    """Whether a daemon is there."""

    ANSWERS = auto()
    BUSY = auto()
    """It is, and has no time to answer."""
    UNKNOWN = auto()
    """This user may not ask it."""
    ABSENT = auto()


@dataclass(frozen=True)
class JobStatus:
    """One job, and how far its training is."""

    job: Job
    directory: Path
    progress: Progress | None

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        job = self.job
        return {
            "id": job.id,
            "name": job.name,
            "label": job.label,
            "state": job.state,
            "reason": job.reason,
            "attempt": job.attempt,
            "priority": job.priority,
            "devices": list(job.devices),
            "prefix": job.prefix,
            "submitted": job.submitted.isoformat(),
            "changed": job.changed.isoformat(),
            "directory": str(self.directory),
            "progress": _progress(self.progress),
        }


@dataclass(frozen=True)
class Overview:
    """All jobs of a root."""

    root: Path
    daemon: Presence
    held: dict[int, int]
    """Device → the job that holds it."""
    queue: tuple[int, ...]
    """Waiting jobs, the next one first."""
    jobs: tuple[JobStatus, ...]
    left_out: int
    """Older jobs that are over and are not in `jobs`."""
    trouble: tuple[str, ...] = ()
    """What the daemon says of what fails, and was set aside; and rows of the store that cannot be read."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "root": str(self.root),
            "running": None if self.daemon is Presence.UNKNOWN else self.daemon is not Presence.ABSENT,
            "devices": {str(device): job for device, job in self.held.items()},
            "queue": list(self.queue),
            "jobs": [status.as_json() for status in self.jobs],
            "left_out": self.left_out,
            "trouble": list(self.trouble),
        }


@dataclass(frozen=True)
class Attempted:
    """How one step of one attempt ended."""

    attempt: int
    exit: "StepExit"


@dataclass(frozen=True)
class Detail:
    """One job with all that is known of it."""

    status: JobStatus
    history: tuple[Transition, ...]
    paths: dict[str, Path]
    """What there is of config, output, logs, events, plan and merged."""
    steps: tuple[Attempted, ...]

    def as_json(self) -> dict[str, object]:
        """Return the documented keys: those of the job, and history, paths and steps."""
        return {
            **self.status.as_json(),
            "history": [
                {"at": step.at.isoformat(), "state": step.state, "attempt": step.attempt, "reason": step.reason}
                for step in self.history
            ],
            "paths": {name: str(path) for name, path in self.paths.items()},
            "steps": [{"attempt": step.attempt, **step.exit.model_dump(mode="json")} for step in self.steps],
        }


def overview(store: Store, root: Path, *, daemon: Presence, trouble: str = "", everything: bool = False) -> Overview:
    """Return the jobs that are not over and the newest ones that are, or `everything`; oldest first.

    `trouble` is what the daemon says of it.
    """
    jobs = store.jobs()
    over = [job for job in jobs if job.state.is_over]
    left_out = set() if everything else {job.id for job in over[:-RECENT]}
    return Overview(
        root=root,
        daemon=daemon,
        held=store.locks(),
        queue=tuple(job.id for job in store.queue()),
        jobs=tuple(job_status(job, root) for job in jobs if job.id not in left_out),
        left_out=len(left_out),
        trouble=(*([trouble] if trouble else []), *store.told_of_unreadable(RECENT)),
    )


def job_status(job: Job, root: Path) -> JobStatus:
    """Return `job` with its progress, which is read from the ranks' logs while they train."""
    directory = job.directory(root)
    progress = read_progress(directory.output, range(len(job.devices))) if job.state is State.TRAINING else None
    return JobStatus(job, directory.path, progress)


def detail(store: Store, job: Job, root: Path) -> Detail:
    """Return all that is known of `job`. Raises OSError where a record cannot be read."""
    directory = job.directory(root)
    paths = {
        "config": directory.config,
        "plan": directory.plan,
        "events": directory.events,
        "output": directory.output,
        "logs": directory.output / "log",
        "merged": directory.merged,
    }
    return Detail(
        status=job_status(job, root),
        history=store.history(job.id),
        paths={name: path for name, path in paths.items() if path.exists()},
        steps=_steps(job, root),
    )


def _steps(job: Job, root: Path) -> tuple[Attempted, ...]:
    from pydantic import ValidationError  # noqa: PLC0415 - the table of all jobs needs no records, and is quicker without

    from handlers.job_dir import Step  # noqa: PLC0415 - beside the next one
    from handlers.outcome import StepExit  # noqa: PLC0415 - as above

    found = []
    for attempt in range(1, job.attempt + 1):
        for step in Step:
            path = job.directory(root).step(attempt, step).exit
            try:
                found.append(Attempted(attempt, StepExit.read(path)))
            except FileNotFoundError:
                continue
            except ValidationError as error:
                raise OSError(f"{path}: not a record of glmd: {error}") from error
    return tuple(found)


def presence(root: Path) -> Presence:
    """Say whether a daemon is there at `root`; waits a second for its answer at most."""
    from daemon.control import BusyError, NotAllowedError, NotRunningError, ask  # noqa: PLC0415

    try:
        ask(root, "ping", timeout=1.0)
    except BusyError:
        return Presence.BUSY
    except NotAllowedError:
        return Presence.UNKNOWN
    except NotRunningError:
        return Presence.ABSENT
    return Presence.ANSWERS


def trouble_at(root: Path) -> str:
    """Return what fails at present, and was set aside, by the word of the daemon at `root`; empty without one."""
    from daemon.control import NotRunningError, RequestRefusedError, ask  # noqa: PLC0415

    try:
        return ask(root, "trouble", timeout=1.0)
    except (NotRunningError, RequestRefusedError):  # the latter of an older daemon
        return ""


def _progress(progress: Progress | None) -> dict[str, object] | None:
    if progress is None:
        return None
    return {
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "step": progress.step,
        "steps": progress.steps,
        "loss": progress.loss if math.isfinite(progress.loss) else None,  # JSON has no NaN
        "seconds_per_step": progress.seconds_per_step,
        "eta_seconds": progress.eta_seconds,
    }


def seconds_since(moment: datetime, now: datetime) -> float:
    """Return the seconds from `moment` to `now`, never negative: clocks may be set."""
    return max(0.0, (now - moment).total_seconds())
