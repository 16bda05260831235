"""What a training is at, read from a rank's log: each phase has its own kind of silence.

The lines are those of MindFormers 0.8 (trainer/base_trainer.py, core/callback/callback.py). Where a version words
them in another way only the step is seen: what comes before it counts as loading, saving as a step.

    .........Starting Training Model..........      weights are loaded, compiling begins
    { Epoch:[  1/  2], step:[    3/    4], loss:…   a step is done
    ......Saving ckpt......                         shards are written
"""

from enum import StrEnum
from pathlib import Path

from handlers.rank_log.progress import is_step
from handlers.rank_log.tail import tail


class Phase(StrEnum):
    """What a training is at, in the order of the first time."""

    LOAD = "load"
    """Reading configuration, data and weights, and meeting the other ranks."""
    FIRST_STEP = "first_step"
    """Compiling, and the first step or sink."""
    STEP = "step"
    SAVING = "saving"


def phase_in(log: Path) -> Phase:
    """Return what a rank's log said last that it is at."""
    for line in reversed(tail(log)):
        if is_step(line):
            return Phase.STEP
        if ".Saving ckpt." in line:
            return Phase.SAVING
        if ".Starting Training Model." in line:
            return Phase.FIRST_STEP
    return Phase.LOAD
