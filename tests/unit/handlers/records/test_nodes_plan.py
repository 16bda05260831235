"""A training on nodes of Slurm, in plan.json."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from handlers.records.job_plan import JobPlan, NodesPlan, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan

SECRET = "hunter2"  # noqa: S105 - looked for where it must not be


def a_plan(place: Path, **other: object) -> NodesPlan:
    """Return a training of two nodes with eight devices each."""
    given: dict[str, object] = {
        "nodes": 2,
        "devices_per_node": 8,
        "launcher": "rank_table",
        "has_table": True,
        "device_target": "Ascend",
        "python": Path("/opt/python"),
        "checkout": Path("/opt/mindformers"),
        "command": ("/opt/python", "run_mindformer.py"),
        "environment": {"MY_TOKEN": SECRET},
        "output": place / "attempts" / "1" / "output",
        "limits": TimeLimits(),
    }
    return NodesPlan(**{**given, **other})  # type: ignore[arg-type] # a test's own words


def published(place: Path, train: NodesPlan) -> JobPlan:
    """Return what is read of a plan.json that was written."""
    merge = MergePlan(source=place / "output", destination=place / "merged")
    JobPlan(job=42, name="demo", train=train, merge=merge).publish(place / "plan.json")
    return JobPlan.read(place / "plan.json")


def test_what_is_read_is_what_was_planned_but_for_secrets(tmp_path: Path) -> None:
    """Those are in environment.json, for glmd alone; and it is not taken for a training on this host."""
    plan = a_plan(tmp_path)
    read = published(tmp_path, plan).train
    assert SECRET not in (tmp_path / "plan.json").read_text() + repr(plan)
    plan.environments.publish(tmp_path / "environment.json")
    assert isinstance(read, NodesPlan)
    assert not isinstance(read, TrainPlan)
    assert read.with_environments(tmp_path / "environment.json") == plan


def test_ranks_are_known_before_their_devices_are(tmp_path: Path) -> None:
    """Their number, and where each prints; Slurm chooses the rest."""
    ranks = a_plan(tmp_path, nodes=2, devices_per_node=2).ranks
    assert [(rank.number, rank.device) for rank in ranks] == [(0, None), (1, None), (2, None), (3, None)]
    assert all(rank.log.is_relative_to(tmp_path / "attempts" / "1" / "output") for rank in ranks)


@pytest.mark.parametrize(("key", "value"), (("nodes", 0), ("nodes", 1 << 20), ("devices_per_node", 0), ("lease", -1)))
def test_what_no_training_can_have_is_refused(tmp_path: Path, key: str, value: int) -> None:
    """Somebody has written into plan.json."""
    published(tmp_path, a_plan(tmp_path))
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["train"][key] = value
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValidationError):
        JobPlan.read(tmp_path / "plan.json")


@pytest.mark.parametrize(("silence", "lease", "beat"), ((60, 120, 5), (8, 120, 2), (60, 6, 1.5)))
def test_several_beats_are_missed_before_somebody_is_gone(
    tmp_path: Path, silence: float, lease: float, beat: float
) -> None:
    """Whatever the settings say."""
    assert a_plan(tmp_path, node_silence=silence, lease=lease).beat == beat
