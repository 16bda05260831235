"""What `glmd status JOB` shows of a training: its curve, where it came to, how fast, and what it takes on the disk."""

from collections.abc import Iterator

from daemon.commands.terminal.table import shows
from daemon.core.results import Result
from daemon.face.curve import SIGN, curve
from daemon.face.status import Detail
from daemon.face.words.reading import Words
from handlers.training_record.training import Training
from handlers.units.byte_sizes import format_size
from handlers.units.durations import format_duration


def training_lines(found: Detail, words: Words) -> list[str]:
    """Return the lines: none of a job of which nothing is recorded and that takes no room."""
    lines = [] if found.training is None else ["", words.say("cli", "training"), *_training(found.training, words)]
    if found.result is not None and (came_to := _came_to(found.result, words)):
        lines += ["", words.say("cli", "came_to", text=came_to)]
    if found.disk:
        held = (f"{words.say('disk', name)} {format_size(count)}" for name, count in found.disk.items())
        lines += ["", words.say("cli", "on_disk", text=words.joined(*held))]
    if found.prunings:
        gone = (f"  {one.part}, {format_size(one.bytes)}: {one.text}" for one in found.prunings)
        lines += ["", words.say("cli", "gone"), *gone]
    return lines


def _came_to(result: Result, words: Words) -> str:
    parts = []
    if result.final_loss is not None:
        parts.append(words.say("cli", "final_loss", loss=result.final_loss))
    if result.best_loss is not None:
        parts.append(words.say("cli", "best_loss", loss=result.best_loss))
    if result.seconds is not None:
        parts.append(words.say("cli", "steps_ran", time=format_duration(result.seconds)))
    if result.bytes is not None:
        parts.append(words.say("cli", "merged", size=format_size(result.bytes)))
    return words.joined(*parts)


def _training(training: Training, words: Words) -> Iterator[str]:
    points = training.points()
    if shows(SIGN) and len(points) > 1:
        yield from (f"  {line}" for line in curve(points))
    yield "  " + words.say(
        "cli",
        "steps",
        number=training.number,
        planned=training.planned,
        first=training.first,
        last=training.last,
        lowest=training.lowest,
    )
    parts = []
    if (samples := training.samples_per_second) is not None:
        parts.append(words.say("cli", "samples", samples=samples))
    if (seconds := training.seconds) is not None:
        parts.append(words.say("cli", "span", time=format_duration(seconds)))
    if training.overflows:
        parts.append(words.say("cli", "overflows", count=training.overflows))
    if parts:
        yield "  " + words.joined(*parts)
