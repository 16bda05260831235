"""A root in which all is well, to be broken by hand."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from daemon.face.audit import Kind, check_state
from daemon.serve.intake.claims import Claim, reject
from handlers.merging import merge
from handlers.merging.latest import lead
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit
from tests.unit.handlers.ckpt.ckpt_writer import small_run

NOW = datetime(2026, 11, 24, 9, 14, 7, tzinfo=UTC)


class Place:
    """A root with its store, and by hand what the daemon and its shims would write."""

    def __init__(self, path: Path) -> None:
        self.root = Root(path)
        self.root.create()
        self.store = Store.open(self.root.store)

    def close(self) -> None:
        """Let the store go."""
        self.store.close()

    def kinds(self) -> set[Kind]:
        """Return what is found."""
        return {one.kind for one in check_state(self.root)}

    def sql(self, statement: str, *values: object) -> None:
        """Change a row as glmd never would."""
        with closing(sqlite3.connect(self.root.store)) as connection, connection:
            connection.execute(statement, values)

    def directory(self, job: Job) -> JobDir:
        """Return a job's directory."""
        return job.directory(self.root.path)

    def job(self, *ways: State, claim: str = "", digest: str = "", devices: tuple[int, ...] = (0, 1)) -> Job:
        """Add a job that a dropped file became, with all files that the `ways` it goes leave."""
        name = claim or f"claim{len(self.store.jobs())}"
        job = self.store.add(NewJob(name, "run", digest, devices=devices, prefix="glm-6b"))
        directory = self.directory(job)
        directory.path.mkdir()
        directory.submitted.write_text("the dropped file")
        directory.config.write_text("what runs")
        for way in ways:
            if way in {State.MERGING, State.DONE}:  # the step before has ended well
                self.end(job, Step.TRAIN if way is State.MERGING else Step.MERGE)
            job = self.store.move(job, way)
            if way is State.TRAINING:
                self.plan(job)
            if way is State.DONE:
                self.merge(job)
        return job

    def plan(self, job: Job, *, train: bool = True) -> None:
        """Write plan.json."""
        directory = self.directory(job)
        JobPlan(
            job=job.id,
            name=job.name,
            train=TrainPlan(processes=(), limits=TimeLimits()) if train else None,
            merge=MergePlan(source=directory.output, destination=directory.merged),
        ).publish(directory.plan)

    def end(self, job: Job, step: Step, outcome: Outcome = Outcome.COMPLETED) -> None:
        """Write exit.json."""
        records = self.directory(job).step(job.attempt, step)
        records.path.mkdir(parents=True, exist_ok=True)
        StepExit(step=step, outcome=outcome, reason="as it was", started=NOW, ended=NOW).publish(records.exit)

    def run_shim(self, job: Job, step: Step, *, living: bool = True) -> None:
        """Write shim.json; who runs the step is this very process, or its namesake of another boot."""
        records = self.directory(job).step(job.attempt, step)
        records.path.mkdir(parents=True, exist_ok=True)
        shim = ShimRecord.of_this_process(NOW)
        (shim if living else shim.model_copy(update={"boot_id": "another"})).publish(records.shim)

    def merge(self, job: Job) -> None:
        """Make real shards, merge them, and let `latest` lead there."""
        directory = self.directory(job)
        run = small_run(directory.output).write()
        merge.run(MergePlan(source=run.source, destination=directory.merged))
        lead(self.root.latest / run.prefix, directory.merged)

    def claim(self, name: str) -> Claim:
        """Take a file as an inbox's claim does."""
        token = f"{len(list(self.root.claims.iterdir())):016x}"
        claim = Claim(token, name, self.root.claims / token / name)
        claim.path.parent.mkdir()
        claim.path.write_text("dropped")
        return claim

    def reject(self, name: str) -> Path:
        """Reject a file with a reason."""
        return reject(self.claim(name), self.root.rejected, "it is no YAML")


DONE = (State.PREPARING, State.TRAINING, State.MERGING, State.DONE)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A root where much has happened, and all is well."""
    place = Place(tmp_path / "root")
    place.job(*DONE, digest="of these bytes")
    place.job(State.PREPARING, State.FAILED)
    place.reject("bad.yaml")
    place.store.add(NewJob("claim of bad.yaml", "bad"), State.REJECTED, "it is no YAML")
    tree = place.store.add(NewJob("tree:/data:glm-6b:31_4:0", "fullft", source=Source.TREE))
    place.directory(tree).path.mkdir()
    place.plan(tree, train=False)
    place.job(digest="of these bytes")  # dropped again when the first one was over
    yield place
    place.close()
