"""Several jobs beside each other: how their trainings went, and where their configurations differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.core.states import Job
from daemon.face.training import GLANCE, training_of
from handlers.ckpt.files.bounded import read_bounded
from handlers.training_record.training import Training

if TYPE_CHECKING:
    from handlers.validate.yaml_nodes import Data

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
        told = None if self.training is None else self.training.as_json()
        return {"id": self.job.id, "name": self.job.name, "state": self.job.state, "training": told}


@dataclass(frozen=True)
class DifferentKey:
    """A key of the configurations that is not the same in all."""

    key: str
    values: tuple[str | None, ...]
    """By job; None where it is not there."""


def compared(jobs: Sequence[Job], root: Path, at_most: int = GLANCE) -> list[Compared]:
    """Return how the trainings of `jobs` went, by about so many rows of each. Raises OSError."""
    return [Compared(job, training_of(job.directory(root), at_most)) for job in jobs]


def different_keys(jobs: Sequence[Job], root: Path) -> list[DifferentKey]:
    """Return what the configurations that ran do not have in common, in the order of the first that has it.

    Raises OSError and ConfigError.
    """
    found = [dict(_keys(job.directory(root).config)) for job in jobs]
    names = dict.fromkeys(name for keys in found for name in keys)
    rows = (DifferentKey(name, tuple(keys.get(name) for keys in found)) for name in names)
    return [row for row in rows if len(set(row.values)) > 1]


def _keys(path: Path) -> Iterator[tuple[str, str]]:
    from handlers.validate.document import parse  # noqa: PLC0415 - the comparison of curves does without

    yield from _flat(parse(read_bounded(path, _LARGEST), str(path)).root.data, "")


def _flat(data: "Data", name: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(data, list) and any(isinstance(each, dict) for each in data):
        for number, value in enumerate(data):
            yield from _flat(value, f"{name}[{number}]")
    else:
        yield name, str(data)
