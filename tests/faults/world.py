"""A root with a real service over it, turned by hand, so that a fault can be put into any call of it."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest

from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.face.audit import check_state
from daemon.serve.intake.source import Clock, Moment
from daemon.serve.loop.waiting import Waiting
from daemon.serve.service import Service
from daemon.serve.steps.runner import RunnerError
from handlers.ckpt.files.durable import make_directory
from handlers.records.job_dir import Step, StepDir
from handlers.records.step_exit import Outcome, StepExit
from tests.acceptance.house import CONFIG, House

PATIENCE = 20.0
MERGED = "the stand-in merges nothing"


class StandInRunner:
    """Leaves the records of a shim that came and went: the training completed, the merge did not."""

    def start(self, job: Job, step: Step, root: Path) -> None:
        """Do so."""
        directory = job.directory(root).step(job.attempt, step)
        now = datetime.now(UTC)
        outcome, reason = (Outcome.COMPLETED, "") if step is Step.TRAIN else (Outcome.FAILED, MERGED)
        try:
            make_directory(directory.path)
            StepExit(step=step, outcome=outcome, reason=reason, started=now, ended=now).publish(directory.exit)
        except OSError as error:
            raise RunnerError(f"not started: {error}") from error

    def cause_of_death(self, directory: StepDir) -> str | None:
        """Nothing dies."""
        del directory
        return None

    def reap(self) -> None:
        """Nothing is left."""


class World:
    """A root, its settings and data, and a service that is turned until something is so."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        house = House(path)
        self.data = house.data
        self.root = Root(house.root, house.root)  # as the daemon has it
        (house.root / "glmd.yaml").write_text(json.dumps(house.settings))
        self.settings = Settings.model_validate(
            {**house.settings, "root": house.root, "inbox": {"settle": 0.0, "rescan": 3600.0}}
        )
        self.root.create()
        self.clock: Clock = Moment.now
        patch.setattr("daemon.serve.service.choose_runner", lambda _choice: StandInRunner())
        patch.setattr("daemon.serve.jobs.preflight.EVERY", 0.01)

    def __enter__(self) -> Self:
        self.store = Store.open(self.root.store)
        self.waiting = Waiting()
        self.service = Service(self.settings, None, self.root, self.store, self.waiting, clock=self.clock)
        self.service._faults._first_pause = self.service._faults._longest_pause = 0.01
        return self

    def __exit__(self, *_: object) -> None:
        self.service._watch.stop()
        self.service._pipeline.close()
        self.waiting.__exit__()
        self.store.close()

    def drop(self, name: str, text: str | None = None) -> None:
        """Drop a file that can run, or `text`, as a careful user does."""
        hidden = self.root.inbox / f".{name}"
        hidden.write_text(CONFIG.format(data=self.data, devices="[0,2)") if text is None else text)
        hidden.rename(self.root.inbox / name)

    def turn_until(self, condition: Callable[[], bool], what: str) -> None:
        """Turn as the daemon's own loop does."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}: {self.service._faults.summary}"
            self.waiting.wait(min(0.05, self.service._due - time.monotonic()))
            self.service.turn()

    def are_over(self, count: int) -> bool:
        """Whether there are so many jobs, all over, and the inbox and the claims are empty."""
        with ReadStore.open(self.root.store) as store:
            jobs = store.jobs()
        return len(jobs) >= count and all(job.state.is_over for job in jobs) and not self.left()

    def left(self) -> list[Path]:
        """Return what waits in the inbox and among the claims."""
        return [*self.root.inbox.iterdir(), *self.root.claims.iterdir()]

    def jobs(self) -> dict[str, tuple[State, str]]:
        """Return each job's state and reason; fail when two have one name."""
        with ReadStore.open(self.root.store) as store:
            jobs = store.jobs()
        assert len({job.name for job in jobs}) == len(jobs), f"a file became two jobs: {jobs}"
        return {job.name: (job.state, job.reason) for job in jobs}

    def agrees(self) -> None:
        """Root and store have nothing against each other."""
        assert [str(one) for one in check_state(self.root)] == []
