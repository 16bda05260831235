"""plan.json: all that a job's steps need to know, decided and written before anything starts.

But for environments, which may hold secrets: plan.json can be read by the whole group, environment.json by glmd alone.
"""

import json
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Discriminator, SerializerFunctionWrapHandler, Tag, field_serializer

from handlers.records.merge_plan import MergePlan
from handlers.records.nodes_plan import NodesPlan
from handlers.records.record import Count, Device, Record
from handlers.records.train_plan import (
    MOST_PLAN_BYTES,
    Environments,
    ProcessPlan,
    RankPlan,
    Role,
    StopOn,
    TimeLimits,
    TrainPlan,
)

__all__ = [
    "Base",
    "Environments",
    "JobPlan",
    "NodesPlan",
    "ProcessPlan",
    "RankPlan",
    "Role",
    "StopOn",
    "TimeLimits",
    "TrainPlan",
]


class Base(Record):
    """A published output that the training starts from."""

    weights: Path
    job: Count | None
    """Which has merged it; None where that is no job's of this root."""
    told: str
    """The same for people: `job 41 (latest/glm-6b)`."""


def _kind(train: object) -> str:
    is_on_nodes = "nodes" in train if isinstance(train, dict) else isinstance(train, NodesPlan)
    return "nodes" if is_on_nodes else "host"


Training = Annotated[
    Annotated[TrainPlan, Tag("host")] | Annotated[NodesPlan, Tag("nodes")],
    Discriminator(_kind),  # so that of what is wrong with one it is not told what the other would lack
]


class JobPlan(Record):
    """A whole job. `train` is None where shards of a foreign run are merged."""

    MOST_BYTES: ClassVar[int] = MOST_PLAN_BYTES

    glmd: str = ""
    """The version that has written it: a job may wait in Slurm's queue for days, and be run by another one."""
    job: Count
    name: str
    devices: tuple[Device, ...] = ()
    rank_table: Path | None = None
    train: Training | None = None
    merge: MergePlan
    base: Base | None = None
    """None where the training begins with what its file names, or with a save of its own."""

    @classmethod
    def of_this_version(cls, content: bytes) -> bytes:
        """Return a plan as it is written now: once each process was one rank, or none, and the merge set `latest`."""
        if b'"rank":' not in content and b'"latest":' not in content:
            return content
        try:
            whole = json.loads(content)
            if b'"rank":' in content:
                whole["train"]["processes"] = [_with_ranks(process) for process in whole["train"]["processes"]]
            if "latest" in whole["merge"]:
                whole["merge"]["can_be_continued"] = whole["merge"].pop("latest") is not None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return content  # its reader says what is wrong
        return json.dumps(whole).encode()

    @field_serializer("train", mode="wrap")
    def _without_environments(
        self, train: TrainPlan | NodesPlan | None, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, object] | None:
        serialized: dict[str, object] | None = serialize(train)
        if serialized is not None:
            for process in serialized["processes"] if isinstance(train, TrainPlan) else (serialized,):  # type: ignore[attr-defined] # a list, as the field says
                del process["environment"]
        return serialized


def _with_ranks(process: dict[str, object]) -> dict[str, object]:
    rank = {"number": process.pop("rank"), "device": process.pop("device"), "log": process["log"]}
    return {**process, "ranks": [] if rank["number"] is None else [rank]}
