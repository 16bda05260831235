"""plan.json: all that a job's steps need to know, decided and written before anything starts.

But for environments, which may hold secrets: plan.json can be read by the whole group, environment.json by glmd alone.
"""

from pathlib import Path
from typing import ClassVar

from pydantic import SerializerFunctionWrapHandler, field_serializer

from handlers.records.merge_plan import MergePlan
from handlers.records.record import Count, Device, Record
from handlers.records.train_plan import MOST_PLAN_BYTES, Environments, ProcessPlan, Role, TimeLimits, TrainPlan

__all__ = ["Environments", "JobPlan", "ProcessPlan", "Role", "TimeLimits", "TrainPlan"]


class JobPlan(Record):
    """A whole job. `train` is None where shards of a foreign run are merged."""

    MOST_BYTES: ClassVar[int] = MOST_PLAN_BYTES

    job: Count
    name: str
    devices: tuple[Device, ...] = ()
    rank_table: Path | None = None
    train: TrainPlan | None = None
    merge: MergePlan

    @field_serializer("train", mode="wrap")
    def _without_environments(
        self, train: TrainPlan | None, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, object] | None:
        told: dict[str, object] | None = serialize(train)
        if told is not None and train is not None:
            for process in told["processes"]:  # type: ignore[attr-defined] # a list, as the field says
                del process["environment"]
        return told
