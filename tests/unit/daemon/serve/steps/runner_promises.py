"""What every runner keeps: daemon.serve.steps.runner.Runner says it. Each runner's tests run this, in its own place."""

import pickle
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from daemon.core.states import Job, State
from daemon.serve.steps.runner import Runner, RunnerError
from handlers.records.job_dir import Step, StepDir
from handlers.records.job_plan import JobPlan, ProcessPlan, RankPlan, Role, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.step_exit import Outcome, StepExit

PATIENCE = 30.0
START_AND_DIE = """
import os, pickle, sys
runner, arguments = pickle.load(sys.stdin.buffer)
runner.start(*arguments)
os.killpg(0, 9)
"""
AT = datetime(2026, 11, 24, tzinfo=UTC)


class Place(ABC):
    """A runner, and a job's directory in which its shims work. The only rank waits for a file `go`, and saves."""

    def __init__(self, runner: Runner, root: Path, number: int) -> None:
        self.runner, self.root = runner, root
        self.job = Job(number, "test", State.TRAINING, "", 1, 0, (0,), "", cancel=False, submitted=AT, changed=AT)
        self.directory = self.job.directory(root)
        self.own_step = self.directory.step(1, Step.TRAIN)

    @abstractmethod
    def seen(self, path: Path) -> Path:
        """Return where the tests find what lies at `path` for a shim."""

    @abstractmethod
    def write(self, path: Path, content: str = "") -> None:
        """Let a shim find this file."""

    @abstractmethod
    def prevent(self) -> None:
        """Let no shim be started."""

    @abstractmethod
    def kill_shim(self) -> None:
        """Kill the shim that runs, as the kernel does for want of memory."""

    @abstractmethod
    def is_at_rest(self) -> bool:
        """Say whether no shim runs, one that was started again and refuses included."""

    def furnish(self) -> None:
        """Write the plan."""
        path, saves = self.directory.path, self.directory.output / "checkpoint/rank_0"
        script = f"echo >> {path}/runs; until [ -e {path}/go ]; do sleep 0.05; done; "
        script += f"mkdir -p {saves}; touch {saves}/glm_rank_0-1_4.ckpt"
        rank = ProcessPlan(
            role=Role.RANK,
            ranks=(RankPlan(number=0, device=0, log=self.directory.rank_log(0)),),
            argv=("/bin/sh", "-c", script),
            environment={"PATH": "/usr/bin:/bin"},
            directory=self.directory.output / "work",
            log=self.directory.rank_log(0),
        )
        train = TrainPlan(processes=(rank,), limits=TimeLimits(silence=60, first_step=60))
        merge = MergePlan(source=self.directory.output, destination=self.directory.merged)
        plan = JobPlan(job=self.job.id, name="test", devices=(0,), train=train, merge=merge)
        self.write(self.directory.plan, plan.model_dump_json())
        self.write(self.own_step.environment, '{"processes": [{"PATH": "/usr/bin:/bin"}]}')

    @property
    def step(self) -> StepDir:
        """The step's records, as the tests find them."""
        return StepDir(self.seen(self.own_step.path))

    def start(self) -> None:
        """Start the training's shim."""
        self.runner.start(self.job, Step.TRAIN, self.root)

    def let_go(self) -> None:
        """Let the rank come to its end."""
        self.write(self.directory.path / "go")

    def runs(self) -> int:
        """Return how often the rank has been started."""
        with suppress(FileNotFoundError):
            return self.seen(self.directory.path / "runs").read_text().count("\n")
        return 0

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for it."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
            time.sleep(0.02)

    def until_it_runs(self) -> None:
        """Wait for the rank."""
        self.until(self.runs, "the rank runs")

    def until_it_ended(self) -> StepExit:
        """Let the rank end, and wait until the step has, and its shim is gone; return how."""
        self.let_go()
        self.until(self.step.exit.exists, "the step ends")
        self.until(self.is_at_rest, "no shim is left")
        return StepExit.read(self.step.exit)


class RunnerPromises:
    """The promises. A subclass called Test… gives the fixture `place`."""

    def test_a_step_that_is_started_comes_to_its_end(self, place: Place) -> None:
        """Its records say who runs it, and how it ended; nobody waits for it meanwhile."""
        place.start()
        place.until_it_runs()
        place.runner.reap()
        assert place.step.shim.exists()
        assert not place.step.exit.exists()
        assert place.until_it_ended().outcome is Outcome.COMPLETED

    def test_a_step_that_runs_is_not_started_again(self, place: Place) -> None:
        """Neither at once nor later: its devices are taken."""
        place.start()
        place.start()
        place.until_it_runs()
        shim = place.step.shim.read_bytes()
        place.start()
        assert place.until_it_ended().outcome is Outcome.COMPLETED
        assert (place.runs(), place.step.shim.read_bytes()) == (1, shim)

    def test_a_step_that_has_ended_is_not_started_again(self, place: Place) -> None:
        """How it ended stays."""
        place.start()
        end = place.until_it_ended()
        place.start()
        place.until(place.is_at_rest, "no shim is left")
        assert (place.runs(), StepExit.read(place.step.exit)) == (1, end)

    def test_a_shim_outlives_whoever_started_it(self, place: Place) -> None:
        """The daemon is killed with its whole process group, and the training goes on."""
        program = [sys.executable, "-c", START_AND_DIE]
        told = pickle.dumps((place.runner, (place.job, Step.TRAIN, place.root)))
        assert subprocess.run(program, input=told, check=False, start_new_session=True).returncode == -9
        place.until_it_runs()
        assert place.until_it_ended().outcome is Outcome.COMPLETED

    def test_a_shim_that_cannot_be_started_says_what_to_do(self, place: Place) -> None:
        """And nothing runs."""
        place.prevent()
        with pytest.raises(
            RunnerError, match=rf"{place.job.id:04}.* could not be started: .+glmd retry {place.job.id}"
        ):
            place.start()
        assert place.is_at_rest()
        assert place.runs() == 0

    def test_no_cause_is_made_up(self, place: Place) -> None:
        """Where nothing died, and where a record of it is damaged."""
        assert place.runner.cause_of_death(place.step) is None
        place.write(place.own_step.path / "service_result.json", "{")
        assert place.runner.cause_of_death(place.step) is None

    def test_a_killed_shim_leaves_no_exit_and_no_zombie(self, place: Place) -> None:
        """What is known of its death is told in one line, which the runner's own tests hold against what they know."""
        place.start()
        place.until_it_runs()
        place.kill_shim()
        place.until(place.is_at_rest, "it is collected")
        assert not place.step.exit.exists()
        assert "\n" not in (place.runner.cause_of_death(place.step) or "")
        assert [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE] == []
