"""Whatever call fails while an output is judged and measured: it passes, as it would have without the fault."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from daemon.core.states import Job, State
from daemon.serve.steps.runner import RunnerError
from handlers.gate.verdict import Verdict
from handlers.merging.merge import run as merge_run
from handlers.records.job_dir import Step, StepDir
from handlers.records.merge_plan import MergePlan
from handlers.records.step_exit import Outcome, StepExit
from tests.faults.injection import NUMBERS, Call, Injection
from tests.faults.test_daemon_faults import named
from tests.faults.world import World
from tests.unit.handlers.ckpt.ckpt_writer import small_run

CASES = [
    *((call, NUMBERS[call][0], 1) for call in (Call.WRITE, Call.RENAME, Call.MKDIR, Call.COMMIT, Call.COMMITTED)),
    *((call, NUMBERS[call][0], 6) for call in (Call.OPEN, Call.FSYNC)),
]
"""What fails, how, and how often on end."""


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output."""
    run = small_run(tmp_path_factory.mktemp("merged") / "output").write()
    destination = run.source.parent / "merged"
    merge_run(MergePlan(source=run.source, destination=destination))
    return destination


class Measured:
    """Leaves the records of shims that came and went: all has gone well. From the merge on, faults may come."""

    def __init__(self, merged: Path, arm: Callable[[], None]) -> None:
        self._merged = merged
        self._arm = arm

    def start(self, job: Job, step: Step, root: Path) -> None:
        """Do so."""
        directory, now = job.directory(root), datetime.now(UTC)
        metrics = {"bleu": 0.5} if step is Step.EVALUATE else None
        exit_ = StepExit(
            step=step, outcome=Outcome.COMPLETED, reason=str(step), metrics=metrics, started=now, ended=now
        )  # fmt: skip
        try:
            if step is Step.MERGE:
                shutil.copytree(self._merged, directory.merged)
            directory.step(job.attempt, step).path.mkdir(parents=True, exist_ok=True)
            exit_.publish(directory.step(job.attempt, step).exit)
            if step is Step.MERGE:
                self._arm()
        except OSError as error:
            raise RunnerError(f"not started: {error}") from error

    def cause_of_death(self, directory: StepDir) -> str | None:
        """Nothing dies."""
        del directory
        return None

    def reap(self) -> None:
        """Nothing is left."""


@pytest.mark.parametrize(
    ("call", "number", "times"), CASES, ids=[f"{call}-{named(number)}" for call, number, _ in CASES]
)
def test_it_is_judged_all_the_same(quick: Path, merged: Path, call: Call, number: int, times: int) -> None:
    """The verdict is whole and passes; the job is done, and holds no device."""
    for first in count(1, times):
        path = quick / str(first)
        path.mkdir()
        injection = Injection(call, number, first, path / "root", times)
        _run(path, merged, injection)
        if not injection.fired:
            break
    assert first > 2, "the fault hit nothing: the injection is not where the calls are"


def _run(path: Path, merged: Path, injection: Injection) -> None:
    with pytest.MonkeyPatch.context() as patch:
        injection.install(patch)
        world = World(path, patch)
        settings = world.settings.model_dump()
        settings["evaluations"] = {"bleu": {"command": ("true",), "devices": (4,)}}
        settings["gate"] = {"evaluate": "bleu", "metrics": {"bleu": {"min": 0.4}}}
        world.settings = type(world.settings).model_validate(settings)

        def arm() -> None:
            injection.is_armed = True

        patch.setattr("daemon.serve.service.choose_runner", lambda _choice: Measured(merged, arm))
        with world:
            world.drop("good.yaml")
            world.turn_until(lambda: world.are_over(1), "the job to be over")
            injection.is_armed = False
            (job,) = world.store.jobs()
            assert (job.state, world.store.locks()) == (State.DONE, {}), job.reason
            assert [step.state for step in world.store.history(job.id)][-3:] == [
                State.MERGING, State.EVALUATING, State.DONE
            ]  # fmt: skip
    verdict = Verdict.read(job.directory(world.root.path).verdict)
    assert (verdict.passed, verdict.metrics) == (True, {"bleu": 0.5})
    world.agrees()
