"""checked.json: what the check of a dropped file found, for all steps that follow.

A job's file is checked once, by the rules of the day; later only what may have changed meanwhile is looked at again.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, Strict

from handlers.records.record import Count, Device, Record

MOST_LOOKS = 1000
"""A file that names more paths is checked whole each time."""


class Wanted(StrEnum):
    """What a path has to be."""

    ALLOWED = "allowed"
    """Where the settings let jobs read; whether it is there is not asked."""
    READABLE = "readable"
    FILE = "file"
    DIRECTORY = "directory"


class Spot(Record):
    """A place in the dropped file, as handlers.validate.problem has it."""

    line: Count
    column: Count
    where: str
    excerpt: str


class PathLook(Record):
    """A path that the file names, and what it has to be."""

    path: str
    wanted: Wanted
    at: Spot


class DiskLook(Record):
    """How much disk the job will need."""

    bytes: Annotated[int, Strict(), Field(ge=0)]
    terms: str
    """How that is made up, for people."""
    at: Spot


class CodeLook(Record):
    """Something that makes foreign code run."""

    way: str
    """As the settings name it."""
    at: Spot


class Checked(Record):
    """checked.json. For what is not told here see handlers.validate.check.CheckedConfig."""

    MOST_BYTES: ClassVar[int] = 16 << 20

    format: Literal[1] = 1
    digest: str
    """Of submitted.yaml: what was found is of no other file."""
    mindformers: str | None
    """The version that it was checked against; None where that was not known."""
    against: str
    dialect: str
    section: dict[str, JsonValue]
    """`glmd:`, without what it leaves to the defaults."""
    devices: tuple[Device, ...]
    devices_at: Spot
    nodes: Count = 0
    """Of Slurm's; 0 for this host."""
    devices_per_node: Count = 0
    run_mode: str
    prefix: str
    device_target: Literal["Ascend", "CPU"]
    parallel_mode: int
    needs_strategy: bool
    cuts_weights: bool
    saves_iterations: bool = False
    sink_size: int | None
    stages: int | None
    lora_alpha: float | None
    lora_rank: int | None
    paths: tuple[PathLook, ...]
    disk: DiskLook | None
    code: tuple[CodeLook, ...] | None = None
    """None where an older glmd found it, which did not look."""
    register_path: str | None = None

    @property
    def ranks(self) -> int:
        """How many train: one a device."""
        return self.nodes * self.devices_per_node or len(self.devices)
