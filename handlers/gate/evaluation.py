"""Decides what an evaluation runs: a command of the settings, or MindFormers' own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from handlers.ckpt.files.durable import make_directory
from handlers.records.evaluation_plan import EvaluationPlan, Telling
from handlers.records.job_dir import StepDir
from handlers.records.train_plan import Environments

MERGED, CHAMPION = "GLMD_MERGED", "GLMD_CHAMPION"
VISIBLE_DEVICES = "ASCEND_RT_VISIBLE_DEVICES"
"""The devices that a program sees; it counts them from 0."""


@dataclass(frozen=True)
class Evaluation:
    """What the daemon knows about an evaluation when it is about to start."""

    name: str
    command: tuple[str, ...]
    records: StepDir
    """Where the step keeps its records."""
    merged: Path
    champion: Path | None
    """The output that `latest` leads to; None where it leads nowhere."""
    environment: Mapping[str, str] = field(repr=False)
    """Of the program; what it holds may be a secret."""
    devices: tuple[int, ...] = ()
    timeout: float = 3600.0
    grace: float = 20.0
    telling: Telling = Telling.JSON


def publish_plan(evaluation: Evaluation) -> EvaluationPlan:
    """Write the plan of an evaluation and its environment, and return the plan. Done again, it does no harm.

    Raises OSError.
    """
    records = evaluation.records
    plan = EvaluationPlan(
        name=evaluation.name,
        argv=evaluation.command,
        directory=records.path / "work",
        devices=evaluation.devices,
        timeout=evaluation.timeout,
        grace=evaluation.grace,
        telling=evaluation.telling,
    )
    make_directory(records.path)
    Environments(processes=(_environment(evaluation),)).publish(records.environment)
    plan.publish(records.plan)
    return plan


def _environment(evaluation: Evaluation) -> dict[str, str]:
    environment = {name: value for name, value in evaluation.environment.items() if name not in {MERGED, CHAMPION}}
    environment[MERGED] = str(evaluation.merged)
    if evaluation.champion is not None:
        environment[CHAMPION] = str(evaluation.champion)
    if evaluation.devices:
        environment[VISIBLE_DEVICES] = ",".join(map(str, evaluation.devices))
    return environment
