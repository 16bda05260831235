"""Promises of plan.json and environment.json."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from handlers.records.job_dir import Step
from handlers.records.job_plan import Environments, JobPlan, StopOn, TrainPlan
from handlers.records.merge_plan import MergePlan

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop


def written(workshop: "Workshop") -> TrainPlan:
    """Return what the shim finds in plan.json."""
    plan = JobPlan.read(workshop.job_dir.plan).train
    assert plan is not None
    return plan


def test_no_value_of_an_environment_is_in_the_plan(workshop: "Workshop") -> None:
    """Every member of the group reads plan.json; a token is in a file that glmd's user alone reads."""
    workshop.environment["HF_TOKEN"] = "hf_secret"  # noqa: S105 - that is what is looked for
    train = workshop.train("pass", "pass", scheduler="pass")
    workshop.publish(train)
    environment = workshop.job_dir.step(1, Step.TRAIN).environment
    assert "environment" not in workshop.job_dir.plan.read_text()
    assert "hf_secret" not in workshop.job_dir.plan.read_text()
    assert "hf_secret" in environment.read_text()
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert written(workshop).with_environments(environment) == train


def test_a_plan_of_before_has_its_own_environments(workshop: "Workshop", tmp_path: Path) -> None:
    """A job that was prepared before an upgrade runs after it."""
    train = workshop.train("pass", "pass")
    old = JobPlan(job=42, name="demo", train=train, merge=MergePlan(source=tmp_path, destination=tmp_path))
    plan = json.loads(old.model_dump_json())
    for process in plan["train"]["processes"]:
        process["environment"] = {"HOME": "/home/glm"}
    workshop.job_dir.plan.write_text(json.dumps(plan))
    found = written(workshop).with_environments(tmp_path / "not there")
    assert [process.environment for process in found.processes] == [{"HOME": "/home/glm"}] * 2


def as_before(plan: dict[str, Any]) -> dict[str, Any]:
    """Return a plan as glmd wrote it when each process was one rank or none."""
    for process in plan["train"]["processes"]:
        (rank,) = process.pop("ranks") or [{"number": None, "device": None}]
        process |= {"rank": rank["number"], "device": rank["device"]}
    return plan


def test_a_plan_of_before_ranks_were_apart_from_processes_is_read(workshop: "Workshop") -> None:
    """As what it would be now."""
    workshop.publish(workshop.train("pass", "pass", scheduler="pass"))
    now = JobPlan.read(workshop.job_dir.plan)
    workshop.job_dir.plan.write_text(json.dumps(as_before(json.loads(workshop.job_dir.plan.read_text())), indent=2))
    assert JobPlan.read(workshop.job_dir.plan) == now


def test_a_plan_of_before_divergence_is_read(workshop: "Workshop") -> None:
    """It has the defaults; a plan of today keeps what it says, also that both are off."""
    off = replace(workshop.train("pass"), stop_on=StopOn(not_finite=None, rise=None))
    workshop.publish(off)
    assert written(workshop).stop_on == StopOn(not_finite=None, rise=None)
    plan = json.loads(workshop.job_dir.plan.read_text())
    del plan["train"]["stop_on"]
    workshop.job_dir.plan.write_text(json.dumps(plan))
    assert written(workshop).stop_on == StopOn(not_finite=20, rise=None)


@pytest.mark.parametrize("stop_on", ({"not_finite": 0}, {"not_finite": True}, {"rise": 1.0}, {"rise": 0.5}, {"x": 1}))
def test_a_plan_that_would_end_every_training_is_refused(workshop: "Workshop", stop_on: dict[str, object]) -> None:
    """Or one that says what nobody knows."""
    workshop.publish(workshop.train("pass"))
    plan = json.loads(workshop.job_dir.plan.read_text())
    plan["train"]["stop_on"] |= stop_on
    workshop.job_dir.plan.write_text(json.dumps(plan))
    with pytest.raises(ValidationError):
        JobPlan.read(workshop.job_dir.plan)


@pytest.mark.parametrize("latest", (None, "/var/glm/latest/glm-6b"))
def test_a_plan_of_before_the_daemon_promoted_is_read(workshop: "Workshop", latest: str | None) -> None:
    """Where its merge was to set `latest`, a training can go on from the output."""
    workshop.publish(workshop.train("pass"))
    plan = json.loads(workshop.job_dir.plan.read_text())
    del plan["merge"]["can_be_continued"], plan["base"]
    plan["merge"]["latest"] = latest
    workshop.job_dir.plan.write_text(json.dumps(plan))
    assert JobPlan.read(workshop.job_dir.plan).merge.can_be_continued is (latest is not None)
    workshop.job_dir.plan.write_text(json.dumps(as_before(plan)))
    assert JobPlan.read(workshop.job_dir.plan).merge.can_be_continued is (latest is not None)


@pytest.mark.parametrize("key", ("role", "rank", "device", "log"))
def test_half_a_plan_of_before_is_none(workshop: "Workshop", key: str) -> None:
    """It is refused as any that says nothing."""
    workshop.publish(workshop.train("pass"))
    plan = as_before(json.loads(workshop.job_dir.plan.read_text()))
    del plan["train"]["processes"][0][key]
    workshop.job_dir.plan.write_text(json.dumps(plan))
    with pytest.raises(ValidationError):
        JobPlan.read(workshop.job_dir.plan)


def test_environments_of_another_plan_are_refused(workshop: "Workshop", tmp_path: Path) -> None:
    """No process runs with another one's, or with none."""
    workshop.publish(workshop.train("pass", "pass"))
    Environments(processes=({},)).publish(tmp_path / "environment.json")
    with pytest.raises(ValueError, match="shorter"):
        written(workshop).with_environments(tmp_path / "environment.json")
    with pytest.raises(FileNotFoundError):
        written(workshop).with_environments(tmp_path / "not there")
