"""Several jobs beside each other: how their trainings went, and where their configurations differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.core.states import Job
from daemon.face.below import read_below
from daemon.face.training import GLANCE, training_of
from handlers.hidden_keys import HiddenKeys
from handlers.records.job_dir import JobDir
from handlers.training_record.training import Training

if TYPE_CHECKING:
    from daemon.face.configuration import Value

_LARGEST = 1 << 20
"""Bytes of a configuration: more the check does not let through."""


@dataclass(frozen=True)
class Compared:
    """One of the jobs."""

    job: Job
    training: Training | None
    """None where nothing is recorded."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        training = None if self.training is None else self.training.as_json()
        return {"id": self.job.id, "name": self.job.name, "state": self.job.state, "training": training}


@dataclass(frozen=True)
class DifferentKey:
    """A key of the configurations that is not the same in all."""

    key: str
    values: tuple[str | None, ...]
    """By job; None where it is not there, and a mark where it is not shown."""


def compared(jobs: Sequence[Job], root: Path, at_most: int = GLANCE) -> list[Compared]:
    """Return how the trainings of `jobs` went, by about so many rows of each. Raises OSError."""
    return [Compared(job, training_of(job.directory(root), at_most)) for job in jobs]


def different_keys(jobs: Sequence[Job], root: Path, hidden: HiddenKeys) -> list[DifferentKey]:
    """Return what the configurations that ran do not have in common, in the order of the first that has it.

    Raises OSError and ConfigError.
    """
    found = [_values(job.directory(root), hidden) for job in jobs]
    names = dict.fromkeys(name for values in found for name in values)
    rows = ((name, [values.get(name) for values in found]) for name in names)
    return [
        DifferentKey(name, tuple(None if value is None else value.shown for value in values))
        for name, values in rows
        if len({None if value is None else value.compared for value in values}) > 1
    ]


def _values(directory: JobDir, hidden: HiddenKeys) -> "Mapping[str, Value]":
    from daemon.face.configuration import values_of  # noqa: PLC0415 - the comparison of curves does without

    # One byte more than the check lets through: then the parser says that it is too large.
    content = read_below(directory.path, directory.config, _LARGEST + 1)
    return values_of(content, str(directory.config), hidden)
