"""Jobs that are over, as glmd leaves them: rows, records, shards, an output. Nothing is trained for it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daemon.core.new_job import source_of_drop
from daemon.core.promotions import Promotion
from daemon.core.results import Result
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.serve.intake.source import Moment
from handlers.merging import merge
from handlers.merging.latest import lead, whole
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.step_exit import Outcome, StepExit
from handlers.retention.pieces import YOUNG
from handlers.run_names import run_name

PREFIX = "glm-6b"


def later() -> Moment:
    """Return a moment at which nothing that is made now is too young to be removed any more."""
    now = Moment.now()
    return Moment(now.monotonic, now.wall + timedelta(seconds=2 * YOUNG))


def add_done(root: Root, store: Store, shards: Mapping[str, bytes], *, cycle: str = "") -> Job:
    """Add a job that is done and promoted, with a shard of each of these saves from each of two ranks."""
    job = _begun(root, store, shards, cycle)
    directory = job.directory(root.path)
    plan = MergePlan(
        source=directory.output, destination=directory.merged, ranks=2, needs_strategy=False, can_be_continued=True
    )  # fmt: skip
    merge.run(plan)
    JobPlan(job=job.id, name=job.name, train=_TRAINED, merge=plan).publish(directory.plan)
    _ended(directory, Step.TRAIN, Step.MERGE)
    promotion = Promotion.of(job)
    store.promote(promotion)
    lead(root.latest / PREFIX, directory.merged)
    store.follow(store.promotions()[-1])
    job = store.move(store.move(job, State.MERGING), State.DONE)
    store.keep_result(job, Result())
    return job


def add_failed(root: Root, store: Store, shards: Mapping[str, bytes], *, cycle: str = "") -> Job:
    """Add a job whose merge failed, with the shards that it was to merge."""
    job = store.move(_begun(root, store, shards, cycle), State.MERGING)
    directory = job.directory(root.path)
    _ended(directory, Step.TRAIN)
    _ended(directory, Step.MERGE, outcome=Outcome.FAILED)
    job = store.move(job, State.FAILED, "it failed")
    store.keep_result(job, Result())
    return job


def add_cancelled(root: Root, store: Store, *, prefix: str = PREFIX) -> Job:
    """Add a job that was cancelled while it waited."""
    job = store.move(_queued(root, store, prefix=prefix), State.CANCELLED)
    store.keep_result(job, Result())
    return job


def half_outputs(root: Root) -> list[Path]:
    """Return the outputs of jobs, and what `latest` leads to, that are there and not whole."""
    found = (*root.jobs.glob("*/merged"), root.latest / PREFIX)
    return [output for output in found if whole(output, PREFIX) is None and output.exists()]


_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_TRAINED = TrainPlan(processes=(), limits=TimeLimits())


def _queued(root: Root, store: Store, cycle: str = "", prefix: str = PREFIX) -> Job:
    """Add a job that waits: one that somebody dropped, or a run of a nightly cycle."""
    number = store.highest() + 1
    name = run_name(cycle, _FIRST + timedelta(days=number)) if cycle else f"run{number}"
    new = NewJob(f"claim{number}", name, f"{number:064x}", prefix=prefix, source=source_of_drop(name))
    job = store.add(new)
    directory = job.directory(root.path)
    directory.path.mkdir()
    for path in (directory.submitted, directory.config):
        path.write_text(f"# job {number}\n")
    return job


def _begun(root: Root, store: Store, shards: Mapping[str, bytes], cycle: str) -> Job:
    """Add a job that trains, with its files."""
    job = _queued(root, store, cycle)
    for tag, content in shards.items():
        for rank in (0, 1):
            name = f"{PREFIX}_rank_{rank}-{tag}.ckpt"
            path = job.directory(root.path).output / "checkpoint" / f"rank_{rank}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o400)
    return store.move(store.move(job, State.PREPARING), State.TRAINING)


def _ended(directory: JobDir, *steps: Step, outcome: Outcome = Outcome.COMPLETED) -> None:
    now = datetime.now(UTC)
    for step in steps:
        records = directory.step(1, step)
        records.path.mkdir(parents=True)
        StepExit(step=step, outcome=outcome, reason="", started=now, ended=now).publish(records.exit)
