"""Which saves of a run MindFormers can go on from, and why not from the others.

What MindFormers 0.8 does, read in load_resume_context_from_checkpoint and build_model in trainer/utils.py: it goes on
at the epoch after `epoch_num`, which each save holds. From a save inside an epoch it would leave out the rest of that
epoch silently, and in the last epoch it refuses to train. Weights go into a cut network with data sinking only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from handlers.mindformers.dialect import Dialect
from handlers.mindformers.tags import Place, Schedule
from handlers.rank_log.progress import Progress
from handlers.shards.names import Part, Tag


@dataclass(frozen=True)
class Obstacle:
    """Why MindFormers cannot go on from a save, for people."""

    what: str
    remedy: str
    """What to change for the next job."""


@dataclass(frozen=True)
class Course:
    """A run, as far as it matters to what its saves are good for."""

    schedule: Schedule
    is_cut: bool
    """Whether the network is cut for the ranks."""
    dialect: Dialect
    wrong_from: int | None = None
    """The step from which on its saves may be of a training that had gone wrong; None where it had not."""
    spoilt: Mapping[Tag, Obstacle] = field(default_factory=dict)
    """What was found of saves while they were read to their ends."""

    def is_sound(self, tag: Tag) -> bool:
        """Say whether the save `tag` was made before the training went wrong, if it did."""
        if self.wrong_from is None:
            return True
        number = number_of(tag, self.schedule)
        return number is not None and number < self.wrong_from

    def obstacle(self, tag: Tag) -> Obstacle | None:
        """Return why the save `tag` is not to be resumed from; None where it is, or nothing is left to train."""
        if not self.is_sound(tag):
            what = f"{tag} was saved when the training may have gone wrong already"
            return Obstacle(what, "lower the learning rate, and save more often")
        schedule = self.schedule
        place = place_of(tag, schedule)
        if place is Place.RUN_END:
            return None
        if self.is_cut and not schedule.sinks:
            what = f"MindFormers loads no save, such as {tag}, into a cut network without data sinking"
            return Obstacle(what, "set runner_config.sink_mode to True")
        if place is Place.EPOCH_END or (self.dialect.resumes_inside_epoch and not schedule.sinks):
            return None
        goes_on = f"MindFormers ({self.dialect.name}) resumes only at the beginning of an epoch"
        if schedule.sinks:
            what = f"{tag} falls inside a sink of {schedule.steps} steps, and {goes_on}"
            return Obstacle(what, "set context.mode to 0, so that a sink runs as one")
        if place is Place.INSIDE_EPOCH:
            what = f"{tag} falls inside an epoch of {schedule.steps} steps, and {goes_on}"
            steps = f"{schedule.steps} (a whole epoch)"
        else:
            length = (
                "no log shows how many steps it has" if schedule.steps is None else f"it has {schedule.steps} steps"
            )
            what = f"{tag} may fall inside an epoch ({length}), and {goes_on}"
            steps = "the steps of a whole epoch"
        return Obstacle(what, f"set runner_config.sink_mode to True, or save_checkpoint_steps to {steps}")


def place_of(tag: Tag, schedule: Schedule) -> Place:
    """Return where in a run the save `tag` falls."""
    if tag.part is Part.ITERATION:
        return schedule.place_of_step(tag.step)
    return schedule.place(tag.epoch, tag.step)


def number_of(tag: Tag, schedule: Schedule) -> int | None:
    """Return after which step of the whole run the save `tag` was made; None where that is not known."""
    return tag.step if tag.part is Part.ITERATION else schedule.number(tag.epoch, tag.step)


def schedule_of(progress: Progress | None, sink_size: int | None) -> Schedule:
    """Return the schedule of a run by its log, None where that has no step; `sink_size` is None without sinking."""
    return Schedule.of(sink_size, None if progress is None else (progress.epochs, progress.steps))
