"""Where in a run a save falls, by its tag EPOCH_STEP. Pure numbers.

Read in MindFormers 0.8 (check_runner_config in trainer/utils.py, CheckpointMointor in core/callback/callback.py) and in
MindSpore 2.0 (Model._train in train/model.py):

* without data sinking a tag is the epoch and the step in it; an epoch is a pass over the data;
* with data sinking MindFormers' epochs are sinks of `sink_size` steps, as many as are whole in all passes over the
  data; with `sink_size` -1 a sink is a pass over the data. Steps of a sink run as one, so that saves fall at its end;
* the new format has the step of the whole run in the place of a tag.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Self


class Place(Enum):
    """Where a save falls."""

    INSIDE_EPOCH = auto()
    """More steps of its epoch follow."""
    EPOCH_END = auto()
    """More epochs may follow."""
    RUN_END = auto()
    """Nothing is left to train."""
    UNKNOWN = auto()


@dataclass(frozen=True)
class Schedule:
    """How many epochs a run has and how many steps each of them, as tags count; None for what is not known."""

    epochs: int | None
    steps: int | None
    sinks: bool

    @classmethod
    def of(cls, sink_size: int | None, data: tuple[int, int] | None) -> Self:
        """Return MindFormers' schedule.

        `sink_size` is None without data sinking. `data` is how many passes over the data the run makes, and how many
        steps a pass has; None where no log tells.
        """
        passes, steps = data or (None, None)
        if sink_size is None or sink_size == -1:
            return cls(passes, steps, sink_size is not None)
        if sink_size <= 0:  # MindFormers refuses it
            return cls(None, None, sinks=True)
        # In floating point and in this order, as MindFormers computes it: (1 / 49) * 49 is less than 1.
        epochs = None if passes is None or steps is None else int((steps / sink_size) * passes)
        return cls(epochs, sink_size, sinks=True)

    def number(self, epoch: int, step: int) -> int | None:
        """Return after which step of the whole run, from 1, EPOCH_STEP was saved; None where that is not known."""
        if epoch == 1:
            return step
        return None if self.steps is None or epoch < 1 else (epoch - 1) * self.steps + step

    def place(self, epoch: int, step: int) -> Place:
        """Return where the save EPOCH_STEP falls."""
        if self.steps is None:
            return Place.EPOCH_END if self.sinks else Place.UNKNOWN
        if step != self.steps:
            return Place.INSIDE_EPOCH if step < self.steps else Place.UNKNOWN
        return Place.RUN_END if self.epochs is not None and epoch >= self.epochs else Place.EPOCH_END

    def place_of_step(self, number: int) -> Place:
        """Return where a save falls that was made after this step of the whole run, from 1."""
        if self.steps is None:
            return Place.EPOCH_END if self.sinks else Place.UNKNOWN
        return self.place((number - 1) // self.steps + 1, (number - 1) % self.steps + 1)
