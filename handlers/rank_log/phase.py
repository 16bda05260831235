"""What a training is at, read from a rank's log: each phase has its own kind of silence.

Where a version of MindFormers does not say what it is at only the step is seen: what comes before it counts as loading,
saving as a step.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from handlers.mindformers.log_lines import SAVING, STARTING
from handlers.rank_log.steps import is_step
from handlers.rank_log.tail import tail


class Phase(StrEnum):
    """What a training is at, in the order of the first time."""

    LOAD = "load"
    """Reading configuration, data and weights, and meeting the other ranks."""
    FIRST_STEP = "first_step"
    """Compiling, and the first step or sink."""
    STEP = "step"
    SAVING = "saving"

    @property
    def when(self) -> str:
        """Say it in a sentence."""
        return _WHEN[self]


_WHEN = {
    Phase.LOAD: "while loading",
    Phase.FIRST_STEP: "while compiling or in the first step",
    Phase.STEP: "between two steps",
    Phase.SAVING: "while saving",
}


def phase_in(log: Path) -> Phase:
    """Return what a rank's log said last that it is at."""
    return last_phase(tail(log))


def last_phase(lines: Sequence[str]) -> Phase:
    """Return the phase that `lines` of a log name last."""
    for line in reversed(lines):
        if is_step(line):
            return Phase.STEP
        if SAVING.search(line):
            return Phase.SAVING
        if STARTING.search(line):
            return Phase.FIRST_STEP
    return Phase.LOAD
