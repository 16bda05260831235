"""The record of a training, as its user meets it."""

import json
import math
import warnings

from daemon.core.states import State
from handlers.records.job_dir import Step
from tests.acceptance.house import House

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer


def test_a_resumed_training_is_one_curve(house: House) -> None:
    """Each step once, of the attempt that counts; a rebuild makes the same of the logs; TensorBoard shows it."""
    house.environment(STANDIN_SAVE="17", STANDIN_FAIL="1", STANDIN_FAIL_AT="17")
    house.start().drop()
    job = house.until(State.DONE)
    told = json.loads(house.run("steps", "1", "--json").stdout)
    rows = told["recorded"]
    assert [row["n"] for row in rows] == [4 * number for number in range(1, 32)]
    assert [row["attempt"] for row in rows] == [1] * 17 + [2] * 14
    assert all(math.isclose(row["loss"], 9 - number / 10, abs_tol=1e-3) for number, row in enumerate(rows, 1))
    assert "step 124 of 124, loss from 8.9 to 5.9" in house.run("status", "1").stdout
    assert house.run("steps", "rebuild", "1").stdout == f"{job.label}: attempt 1: 17 steps, attempt 2: 14 steps\n"
    assert json.loads(house.run("steps", "1", "--json").stdout) == told
    shown = EventMultiplexer()
    shown.AddRunsFromDirectory(str(house.root / "jobs")).Reload()
    runs = [f"{job.label}/attempts/{attempt}/{Step.TRAIN}" for attempt in (1, 2)]
    assert sorted(shown.Runs()) == runs
    assert [event.step for run in runs for event in shown.Scalars(run, "loss")] == [row["n"] for row in rows]
