"""What `glmd status JOB` shows of a training: its curve, where it came to, how fast, and what it takes on the disk."""

from collections.abc import Iterator

from daemon.commands.terminal.table import shows
from daemon.core.results import Result
from daemon.face.curve import SIGN, curve
from daemon.face.status import Detail
from handlers.training_record.training import Training
from handlers.units.byte_sizes import format_size
from handlers.units.durations import format_duration

_DISK = {"output": "output", "earlier_outputs": "earlier attempts", "merged": "merged"}


def training_lines(found: Detail) -> list[str]:
    """Return the lines: none of a job of which nothing is recorded and that takes no room."""
    lines = [] if found.training is None else ["", "training", *_told(found.training)]
    if found.result is not None and (came_to := _came_to(found.result)):
        lines += ["", f"came to: {came_to}"]
    if found.disk:
        held = ", ".join(f"{_DISK[name]} {format_size(count)}" for name, count in found.disk.items())
        lines += ["", f"on the disk: {held}"]
    if found.prunings:
        gone = (f"  {one.part}, {format_size(one.bytes)}: {one.told}" for one in found.prunings)
        lines += ["", "no longer there", *gone]
    return lines


def _came_to(result: Result) -> str:
    parts = []
    if result.final_loss is not None:
        parts.append(f"final loss {result.final_loss:.4g}, mean of the last steps")
    if result.best_loss is not None:
        parts.append(f"best {result.best_loss:.4g}")
    if result.seconds is not None:
        parts.append(f"steps ran {format_duration(result.seconds)}")
    if result.bytes is not None:
        parts.append(f"{format_size(result.bytes)} merged")
    return ", ".join(parts)


def _told(training: Training) -> Iterator[str]:
    points = training.points()
    if shows(SIGN) and len(points) > 1:
        yield from (f"  {line}" for line in curve(points))
    losses = f"loss from {training.first:.4g} to {training.last:.4g}, lowest {training.lowest:.4g}"
    yield f"  step {training.number} of {training.planned}, {losses}"
    parts = []
    if (samples := training.samples_per_second) is not None:
        parts.append(f"{samples:.4g} samples/s")
    if (seconds := training.seconds) is not None:
        parts.append(f"{format_duration(seconds)} from its first step to its last")
    if training.overflows:
        parts.append(f"{training.overflows} steps overflowed")
    if parts:
        yield "  " + ", ".join(parts)
