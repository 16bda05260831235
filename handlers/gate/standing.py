"""What is known of an output that is to be judged, and of the one that it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from handlers.gate.verdict import Input


@dataclass(frozen=True)
class Loss:
    """The loss at the end of a training."""

    value: float
    """Mean of the last recorded steps; not finite where one of them is not."""
    over: int
    """Of how many steps that is."""


@dataclass(frozen=True)
class Trained:
    """What decides whether two trainings' losses can be compared with each other."""

    configuration: str = ""
    """Of the training; empty where it is not known."""
    inputs: tuple[Input, ...] | None = None
    """The data; None where they are not known."""

    def unlike(self, other: "Trained") -> str:
        """Return in what it differs from `other`, for people; empty where their losses can be compared."""
        if not self.configuration or not other.configuration:
            return "its configuration is not known"
        if self.configuration != other.configuration:
            return "it was trained with another configuration"
        if self.inputs is None or other.inputs is None:
            return "its data are not known"
        return "" if _are_same(self.inputs, other.inputs) else "it was trained on other data"


@dataclass(frozen=True)
class Candidate:
    """An output that is to be judged."""

    damage: str = ""
    """What it lacks of a whole output; empty where it is whole."""
    not_finite: str = ""
    """Which parameters hold NaN or infinity, for people."""
    not_finite_count: int | None = 0
    """How many; None where they were not counted."""
    loss: Loss | None = None
    is_of_a_training: bool = True
    """Whether glmd has trained it; else the shards were found in a watched tree."""
    trained: Trained = field(default_factory=Trained)


@dataclass(frozen=True)
class Champion:
    """The output that `latest` leads to."""

    name: str
    """For people: `job 40`."""
    directory: str
    job: int | None = None
    is_judged: bool = True
    """Whether there is a verdict of it, which says the rest."""
    loss: float | None = None
    trained: Trained = field(default_factory=Trained)
    metrics: Mapping[str, float] = field(default_factory=dict)
    evaluation: str = ""


@dataclass(frozen=True)
class Evaluated:
    """How an evaluation ended."""

    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    """Why it told nothing; empty where it did."""


def _are_same(ours: tuple[Input, ...], theirs: tuple[Input, ...]) -> bool:
    """Say whether two trainings read the same data: by what the files hold where that is known, and not by names."""
    if all(one.sha256 for one in (*ours, *theirs)):
        return sorted((one.sha256, one.bytes) for one in ours) == sorted((one.sha256, one.bytes) for one in theirs)
    return sorted(map(_unhashed, ours)) == sorted(map(_unhashed, theirs))


def _unhashed(one: Input) -> tuple[str, int, int]:
    return one.path, one.bytes, one.mtime_ns
