"""attempts/N/evaluate/plan.json: what an evaluation runs, decided and written before it starts.

Its environment is apart from it, for glmd's user alone: environment.json, as of a training.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from handlers.records.record import Device, Record, Seconds


class Telling(StrEnum):
    """How an evaluation tells what it has measured."""

    JSON = "json"
    """The last line of its standard output is an object of numbers."""
    MINDFORMERS = "mindformers"
    """As MindFormers prints its metrics."""


class EvaluationPlan(Record):
    """A program that measures a merged checkpoint."""

    name: str
    """As the settings call it."""
    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    directory: Path
    """Where it runs."""
    devices: tuple[Device, ...] = ()
    timeout: Seconds
    grace: Seconds
    """Between TERM and KILL."""
    telling: Telling = Telling.JSON
