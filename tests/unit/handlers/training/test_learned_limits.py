"""Time limits learned from earlier trainings."""

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handlers.rank_log.phase import Phase
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import TimeLimits
from handlers.records.step_exit import Outcome, Silences, StepExit
from handlers.training.learned_limits import FLOORS, MOST_TRAININGS, configuration, earlier_silences, learned

WIDE = TimeLimits(silence=7200, first_step=14400)
CONFIG: dict[str, Any] = {
    "run_mode": "finetune",
    "load_checkpoint": "/data/base.ckpt",
    "runner_config": {"epochs": 1, "batch_size": 2, "sink_size": 4},
    "parallel_config": {"model_parallel": 8},
    "model": {
        "model_config": {"type": "GLMConfig", "num_layers": 28, "seq_length": 512, "checkpoint_name_or_path": "a"}
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the configuration with one value changed."""
    config = deepcopy(CONFIG)
    *parents, last = path.split(".")
    within = config
    for name in parents:
        within = within[name]
    within[last] = value
    return config


def test_limits_are_a_multiple_of_the_longest_silence_seen() -> None:
    """Phase by phase, over all trainings."""
    seen = [
        Silences(configuration="a", load=180, first_step=500, step=90, saving=200),
        Silences(configuration="a", load=250, first_step=533, step=150, saving=None),
    ]
    assert learned(WIDE, seen) == TimeLimits(
        silence=450, first_step=1599, load=750, saving=600, total=None, learned_from=2
    )


def test_limits_are_not_below_the_floors() -> None:
    """A fast step does not make a slow one a hang."""
    got = learned(WIDE, [Silences(configuration="a", load=1, first_step=1, step=0.5, saving=1)])
    assert (got.load, got.first_step, got.silence, got.saving) == tuple(
        FLOORS[phase] for phase in (Phase.LOAD, Phase.FIRST_STEP, Phase.STEP, Phase.SAVING)
    )


def test_limits_are_never_above_what_was_set() -> None:
    """Neither a long silence nor a floor raises a limit."""
    seen = [Silences(configuration="a", load=9000, first_step=9000, step=9000, saving=9000)]
    got = learned(TimeLimits(silence=60, first_step=120), seen)
    assert (got.load, got.first_step, got.silence, got.saving) == (120, 120, 60, 60)


def test_no_limit_stays_no_limit() -> None:
    """`none` in the YAML is a wish."""
    seen = [Silences(configuration="a", load=1, first_step=1, step=1, saving=1)]
    got = learned(TimeLimits(silence=None, first_step=None, total=50), seen)
    assert (got.load, got.first_step, got.silence, got.saving, got.total) == (None, None, None, None, 50)


def test_nothing_seen_changes_nothing() -> None:
    """The first training of its kind has the limits that were set."""
    assert learned(WIDE, []) is WIDE


def test_what_the_user_chose_is_not_touched() -> None:
    """Who writes `timeout.silence` means it, saving included."""
    seen = [Silences(configuration="a", load=200, first_step=500, step=1, saving=1)]
    got = learned(WIDE, seen, fixed={"silence"})
    assert (got.silence, got.saving, got.first_step) == (7200, None, 1500)
    assert learned(WIDE, seen, fixed={"silence", "first_step"}) is WIDE


@pytest.mark.parametrize(
    ("path", "value"),
    (
        ("load_checkpoint", "/data/other.ckpt"),
        ("runner_config.epochs", 10),
        ("model.model_config.checkpoint_name_or_path", "b"),
    ),
)
def test_what_does_not_matter_leaves_the_configuration_the_same(path: str, value: object) -> None:
    """Another night's run of the same YAML is compared with the last one."""
    assert configuration(changed(path, value), 8) == configuration(CONFIG, 8)


@pytest.mark.parametrize(
    ("path", "value"),
    (
        ("runner_config.batch_size", 4),
        ("runner_config.sink_size", 2),
        ("parallel_config.model_parallel", 4),
        ("model.model_config.num_layers", 2),
        ("model.model_config.seq_length", 1024),
        ("model.model_config.pet_config", {"pet_type": "lora"}),
    ),
)
def test_what_matters_makes_another_configuration(path: str, value: object) -> None:
    """Nothing is learned from a smaller model, batch or sink."""
    assert configuration(changed(path, value), 8) != configuration(CONFIG, 8)


def test_ranks_matter_and_odd_documents_do_no_harm() -> None:
    """A part that is missing or no mapping is a part like another."""
    assert configuration(CONFIG, 8) != configuration(CONFIG, 4)
    assert configuration({}, 1) != configuration({"model": None, "parallel": []}, 1)


def record(
    jobs: Path, job: int, load: float, *, attempt: int = 1, kind: str = "a", outcome: Outcome = Outcome.COMPLETED
) -> Path:
    """Write the exit.json of a training, and return its path."""
    directory = JobDir(jobs / f"{job:04d}-run").step(attempt, Step.TRAIN)
    directory.path.mkdir(parents=True)
    now = datetime.now(UTC)
    silences = Silences(configuration=kind, load=load)
    StepExit(step=Step.TRAIN, outcome=outcome, reason="", silences=silences, started=now, ended=now).publish(
        directory.exit
    )
    return directory.exit


def test_completed_trainings_of_the_same_configuration_are_found(tmp_path: Path) -> None:
    """The newest job first; others, failed ones and what cannot be read teach nothing."""
    record(tmp_path, 9, 9)
    record(tmp_path, 10, 10)
    record(tmp_path, 10000, 11, attempt=2)
    record(tmp_path, 12, 12, kind="b")
    record(tmp_path, 13, 13, outcome=Outcome.TIMED_OUT)
    record(tmp_path, 14, 14).write_text("{")
    (tmp_path / "0015-run").mkdir()
    (tmp_path / "0016-run").touch()
    assert [silences.load for silences in earlier_silences(tmp_path, "a")] == [11, 10, 9]
    assert earlier_silences(tmp_path / "none", "a") == ()


def test_the_newest_count(tmp_path: Path) -> None:
    """A host that became faster is learned anew."""
    for job in range(1, MOST_TRAININGS + 6):
        record(tmp_path, job, job)
    assert [silences.load for silences in earlier_silences(tmp_path, "a")] == list(range(MOST_TRAININGS + 5, 5, -1))
