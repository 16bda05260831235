"""What lies in a job's directory: each directory is listed once, and each record read once."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import ConfigDict, ValidationError

from handlers.records.job_dir import JobDir, Step, StepDir, is_number
from handlers.records.process import boot_id
from handlers.records.record import Count, Record
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import StepExit
from handlers.records.train_plan import MOST_PLAN_BYTES

AnyRecord = TypeVar("AnyRecord", bound=Record)


class PlanOutline(Record):
    """As much of a plan.json as is looked at when its job is done: reading all of it takes longer than all else."""

    model_config = ConfigDict(extra="ignore")

    MOST_BYTES: ClassVar[int] = MOST_PLAN_BYTES

    job: Count
    name: str
    train: dict[str, object] | None = None
    merge: dict[str, object]


class StepFiles:
    """The records of one run of one step: each, or why it cannot be read; None where it is not there."""

    def __init__(self, path: str, attempt: int, step: Step, names: frozenset[str]) -> None:
        self._path = path
        self.attempt = attempt
        self.step = step
        self.names = names
        self.shim = read_record(ShimRecord, f"{path}/shim.json") if "shim.json" in names else None
        self.exit = read_record(StepExit, f"{path}/exit.json") if "exit.json" in names else None
        self.living = _living(self.shim)
        """The pid of the shim that runs the step, if one does."""

    @property
    def is_slurms(self) -> bool:
        """Whether it is a job of Slurm's: of what runs on other hosts no process tells here."""
        return "slurm" in self.names

    @property
    def directory(self) -> StepDir:
        """Where they lie."""
        return StepDir(Path(self._path))


class JobFiles:
    """One job's. Paths are text here: making a Path takes longer than listing a directory."""

    def __init__(self, directory: JobDir) -> None:
        self.directory = directory
        self.path = str(directory.path)
        found = names_in(self.path)
        self.is_there = found is not None
        self.names = found or frozenset()
        self.attempts = self._attempts()
        """What is in each directory in `attempts/`."""
        self.steps = tuple(self._steps())
        """All runs of steps, by attempt."""

    def step(self, attempt: int, step: Step) -> StepFiles:
        """Return one run of a step, also one that is not there."""
        for files in self.steps:
            if files.attempt == attempt and files.step is step:
                return files
        return StepFiles(str(self.directory.step(attempt, step).path), attempt, step, frozenset())

    def _attempts(self) -> dict[str, frozenset[str]]:
        there = f"{self.path}/attempts"
        listed = sorted(names_in(there) or ()) if "attempts" in self.names else []
        return {name: found for name in listed if (found := names_in(f"{there}/{name}")) is not None}

    def _steps(self) -> Iterator[StepFiles]:
        for name, there in self.attempts.items():
            for step in Step:
                path = f"{self.path}/attempts/{name}/{step}"
                if step in there and is_number(name) and (names := names_in(path)) is not None:
                    yield StepFiles(path, int(name), step, names)


def names_in(directory: str) -> frozenset[str] | None:
    """Return what is in a directory; None where there is none."""
    try:
        return frozenset(os.listdir(directory))  # noqa: PTH208 - names are all that is wanted
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_record(kind: type[AnyRecord], path: str | Path) -> AnyRecord | str | None:
    """Return a record, or why it cannot be read; None where it has just gone."""
    try:
        return kind.read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"it cannot be read: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def _living(shim: ShimRecord | str | None) -> int | None:
    """Return the pid of a shim that runs."""
    if not isinstance(shim, ShimRecord) or shim.boot_id != _boot_id():
        return None
    identity = shim.identity
    return identity.pid if identity.alive() else None


@cache
def _boot_id() -> str:
    return boot_id()
