"""What `glmd status` shows, as data: read from the store and the job directories, so it works with the daemon down."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.core.job_rows import unreadable_lines
from daemon.core.notices import Notice
from daemon.core.presence import Presence, presence
from daemon.core.prunings import Pruning
from daemon.core.read_jobs import Transition
from daemon.core.read_store import ReadStore
from daemon.core.results import Result
from daemon.core.root import Root
from daemon.core.states import ACTIVE, OVER, Job, State
from daemon.face.training import GLANCE, disk_of, training_of
from handlers.rank_log.progress import Progress, read_progress
from handlers.records.job_dir import JobDir, Step
from handlers.training_record.training import Training

if TYPE_CHECKING:
    from daemon.face.nodes import InSlurm
    from handlers.gate.verdict import Verdict
    from handlers.records.step_exit import StepExit

Word = tuple[Presence, str]
"""Whether a daemon is there, and what it says of what fails."""
RECENT = 10
"""Jobs that are over and shown anyway; `--all` shows every one."""
NEXT = 10
"""Jobs that wait and are shown, those that are next; `--all` shows every one."""
PAGE = 1000
"""Rows that are read at a time."""


@dataclass(frozen=True)
class JobStatus:
    """One job, and how far its training is."""

    job: Job
    directory: Path
    progress: Progress | None

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {**job_as_json(self.job, self.directory), "progress": progress_as_json(self.progress)}


@dataclass(frozen=True)
class Overview:
    """The jobs of a root: all, or those that matter now."""

    root: Path
    daemon: Presence
    held: dict[int, int]
    """Device → the job that holds it."""
    queue: tuple[int, ...]
    """Waiting jobs, the next one first: all, or the next ones."""
    waiting: int
    """How many wait."""
    jobs: Iterator[JobStatus]
    """Read while they are asked for, oldest first."""
    left_out: int
    """Older jobs that are over and are not in `jobs`."""
    unreadable: dict[int, str]
    """The rows of the store that cannot be read, by number, with why: as far as rows were read."""
    notices: tuple[Notice, ...] = ()
    """What somebody should know of nights and of the disk."""
    trouble: str = ""
    """What the daemon says of what fails, and was set aside."""

    @property
    def unread(self) -> list[str]:
        """What there is to say of rows that cannot be read."""
        return unreadable_lines(self.unreadable, RECENT)

    def as_json(self) -> Iterator[tuple[str, object]]:
        """Yield the documented keys; that of `jobs` has an iterator, to be asked to its end before the next key."""
        yield "root", str(self.root)
        yield "running", None if self.daemon is Presence.UNKNOWN else self.daemon is not Presence.ABSENT
        yield "devices", {str(device): job for device, job in self.held.items()}
        yield "queue", iter(self.queue)
        yield "jobs", (status.as_json() for status in self.jobs)
        yield "left_out", self.left_out
        yield "trouble", [*([self.trouble] if self.trouble else []), *self.unread]
        yield "waiting", self.waiting
        yield "notices", [notice.as_json() for notice in self.notices]


@dataclass(frozen=True)
class StoredOverview:
    """What the store says of the jobs that matter now: as in Overview, and without what their files say."""

    held: dict[int, int]
    queue: tuple[int, ...]
    waiting: int
    jobs: tuple[Job, ...]
    left_out: int
    unreadable: dict[int, str]
    notices: tuple[Notice, ...]

    def at(self, root: Path, word: Word) -> Overview:
        """Return the overview of `root`, of which these jobs are."""
        daemon, trouble = word
        return Overview(
            root=root,
            daemon=daemon,
            held=self.held,
            queue=self.queue,
            waiting=self.waiting,
            jobs=(job_status(job, root) for job in self.jobs),
            left_out=self.left_out,
            unreadable=self.unreadable,
            notices=self.notices,
            trouble=trouble,
        )


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
    training: Training | None
    """As far as it is recorded: enough of it for a curve."""
    result: Result | None
    """What it came to; None while it is not over, or nobody has looked."""
    disk: dict[str, int]
    """Bytes that parts of its directory take."""
    slurm: "InSlurm | None" = None
    """Its job in Slurm, of the present attempt; None for a job of this host."""
    verdict: "Verdict | None" = None
    """What the gate found of its output; None before that, and of what an older glmd merged."""
    prunings: tuple[Pruning, ...] = ()
    """What was removed of it since it was over, or is being removed."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys: those of the job, and history, paths, steps, training and so on."""
        return {
            **self.status.as_json(),
            "history": [{**asdict(step), "at": step.at.isoformat()} for step in self.history],
            "paths": {name: str(path) for name, path in self.paths.items()},
            "steps": [{"attempt": step.attempt, **step.exit.model_dump(mode="json")} for step in self.steps],
            "training": None if self.training is None else self.training.as_json(),
            "result": None if self.result is None else self.result.as_json(),
            "disk": self.disk,
            "verdict": None if self.verdict is None else self.verdict.model_dump(mode="json"),
            "prunings": [pruning.as_json() for pruning in self.prunings],
            "slurm": None if self.slurm is None else self.slurm.as_json(),
        }


def overview(root: Path, store: Path, word: Word | None = None) -> Overview:
    """Return the jobs that matter now: those at work, the next ones that wait, and the newest that are over.

    Without the daemon's `word` it is asked at its socket.
    """
    word = word or _word_of_the_daemon(root)
    with ReadStore.open(store) as opened:
        return stored_overview(opened).at(root, word)


def stored_overview(store: ReadStore) -> StoredOverview:
    """Return what the store says of the jobs that matter now."""
    waiting = store.queue(NEXT)
    over = store.newest_over(RECENT)
    jobs = sorted((*store.jobs(ACTIVE), *waiting, *over), key=lambda job: job.id)
    store.look_for_unreadable()
    return StoredOverview(
        held=store.locks(),
        queue=tuple(job.id for job in waiting),
        waiting=store.queue_length(),
        jobs=tuple(jobs),
        left_out=max(0, store.count(OVER) - len(over)),
        unreadable=store.unreadable,
        notices=store.notices(),
    )


def overview_of_all(root: Path, store: Path) -> Overview:
    """Return all jobs. They are read while they are shown, so that memory does not grow with them."""
    daemon, trouble = _word_of_the_daemon(root)
    unreadable: dict[int, str] = {}
    with ReadStore.open(store) as opened:
        queue = opened.queue_order()
        held = opened.locks()
        notices = opened.notices()
    return Overview(
        root=root,
        daemon=daemon,
        held=held,
        queue=queue,
        waiting=len(queue),
        jobs=(job_status(job, root) for job in _every_job(store, unreadable)),
        left_out=0,
        unreadable=unreadable,
        notices=notices,
        trouble=trouble,
    )


def _every_job(path: Path, unreadable: dict[int, str]) -> Iterator[Job]:
    """Yield all jobs, oldest first.

    The store is opened again for each page: anyone who reads slowly, in a pager, keeps nobody from writing.
    """
    after: int | None = 0
    while after is not None:
        with ReadStore.open(path) as store:
            page = store.page(after, PAGE)
            unreadable.update(store.unreadable)
        yield from page.jobs
        after = page.last


def _word_of_the_daemon(root: Path) -> Word:
    daemon = presence(root)
    return daemon, trouble_at(root) if daemon is Presence.ANSWERS else ""


def job_status(job: Job, root: Path) -> JobStatus:
    """Return `job` with its progress, which is read from the ranks' logs while they train."""
    directory = job.directory(root)
    progress = read_progress(directory.output, job.ranks) if job.state is State.TRAINING else None
    return JobStatus(job, directory.path, progress)


def detail(store: ReadStore, job: Job, root: Path, rows: int = GLANCE) -> Detail:
    """Return all that is known of `job`, with about so many rows. Raises OSError where a record cannot be read."""
    directory = job.directory(root)
    paths = {
        "config": directory.config,
        "plan": directory.plan,
        "events": directory.events,
        "output": directory.output,
        "logs": directory.output / "log",
        "merged": directory.merged,
        "verdict": directory.verdict,
        "evaluation": directory.step(job.attempt, Step.EVALUATE).path,
        **({"rejected": Root(root).rejected} if job.state is State.REJECTED else {}),
    }
    return Detail(
        status=job_status(job, root),
        history=store.history(job.id),
        paths={name: path for name, path in paths.items() if path.exists()},
        steps=_steps(job, root),
        training=training_of(directory, rows),
        result=store.results([job.id]).get(job.id),
        disk=disk_of(directory),
        slurm=_in_slurm(job, root),
        verdict=verdict_of(directory),
        prunings=store.prunings_of(job),
    )


def _in_slurm(job: Job, root: Path) -> "InSlurm | None":
    if not job.nodes:
        return None
    from daemon.face.nodes import in_slurm  # noqa: PLC0415 - as below

    return in_slurm(job, root)


def verdict_of(directory: JobDir) -> "Verdict | None":
    """Return what the gate found of a job's output; None where nothing was judged. Raises OSError."""
    from pydantic import ValidationError  # noqa: PLC0415 - as below

    from handlers.gate.verdict import Verdict  # noqa: PLC0415 - as below
    from handlers.records.record import no_record  # noqa: PLC0415 - as below

    try:
        return Verdict.read(directory.verdict)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise no_record(directory.verdict, error) from error


def _steps(job: Job, root: Path) -> tuple[Attempted, ...]:
    from pydantic import ValidationError  # noqa: PLC0415 - the table of all jobs needs no records, and is quicker without

    from handlers.records.record import no_record  # noqa: PLC0415 - as above
    from handlers.records.step_exit import StepExit  # noqa: PLC0415 - as above

    found = []
    for attempt in range(1, job.attempt + 1):
        for step in Step:
            path = job.directory(root).step(attempt, step).exit
            try:
                found.append(Attempted(attempt, StepExit.read(path)))
            except FileNotFoundError:
                continue
            except ValidationError as error:
                raise no_record(path, error) from error
    return tuple(found)


def trouble_at(root: Path) -> str:
    """Return what fails at present, and was set aside, by the word of the daemon at `root`; empty without one."""
    from daemon.core.control import NotRunningError, RequestRefusedError, ask  # noqa: PLC0415

    try:
        return ask(root, "trouble", timeout=1.0)
    except (NotRunningError, RequestRefusedError):  # the latter of an older daemon
        return ""


def job_as_json(job: Job, directory: Path) -> dict[str, object]:
    """Return the documented keys of a job, as far as the store knows it."""
    return {
        "id": job.id,
        "name": job.name,
        "label": job.label,
        "state": job.state,
        "reason": job.reason,
        "code": job.code,
        "attempt": job.attempt,
        "priority": job.priority,
        "devices": list(job.devices),
        "nodes": job.nodes,
        "ranks": len(job.ranks),
        "prefix": job.prefix,
        "cycle": job.cycle,
        "continues": job.continues,
        "submitted": job.submitted.isoformat(),
        "changed": job.changed.isoformat(),
        "directory": str(directory),
    }


def progress_as_json(progress: Progress | None) -> dict[str, object] | None:
    """Return the documented keys of how far a training is."""
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
