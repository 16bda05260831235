"""One step of a training, with all that MindFormers tells of it; handlers.mindformers.log_lines has the forms."""

import re
import time
from dataclasses import dataclass

from handlers.mindformers.log_lines import SAMPLES, STEP, TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """What a rank says of a step, or of the last one of a sink. None is what its version does not say.

    Counts start at 1; `step` and `steps` are within the epoch. A loss may be nan or inf, when that is what the training
    came to.
    """

    time: float | None = None
    """When it was logged, in seconds since 1970."""
    epoch: int
    epochs: int
    """1 where MindFormers counts the steps of the whole training."""
    step: int
    steps: int
    loss: float
    mean: float | None = None
    """Of the losses of the epoch so far."""
    milliseconds: int | None = None
    """That the step took: with data sinking, one of the sink on average."""
    learning_rate: float | None = None
    overflow: bool | None = None
    loss_scale: float | None = None
    norm: float | None = None
    """Of all gradients."""
    teraflops: float | None = None
    """A second and device."""
    samples: float | None = None
    """A second and device: from the line that follows."""
    lm_loss: float | None = None
    balancing_loss: float | None = None
    mtp_loss: float | None = None

    @property
    def number(self) -> int:
        """Its place in the whole training, from 1."""
        return (self.epoch - 1) * self.steps + self.step


def is_step(line: str) -> bool:
    """Say whether `line` reports a step."""
    return _matched(line) is not None


def step_in(line: str) -> StepLine | None:
    """Return the step that `line` reports, or None. Of several that ran into one line, it is the first whole one."""
    found = _matched(line)
    if found is None:
        return None
    overflow, milliseconds = found["overflow"], found["milliseconds"]
    return StepLine(
        time=_time(line[: found.start()]),
        epoch=int(found["epoch"] or 1),
        epochs=int(found["epochs"] or 1),
        step=int(found["step"]),
        steps=int(found["steps"]),
        loss=float(found["loss"]),
        mean=_number(found["mean"]),
        milliseconds=None if milliseconds is None else int(milliseconds),
        learning_rate=_number(found["learning_rate"]),
        overflow=None if overflow is None else overflow == "True",
        loss_scale=_number(found["loss_scale"]),
        norm=_number(found["norm"]),
        teraflops=_number(found["teraflops"]),
        lm_loss=_number(found["lm"]),
        balancing_loss=_number(found["balancing"]),
        mtp_loss=_number(found["mtp"]),
    )


def samples_in(line: str) -> float | None:
    """Return the samples a second and device that the line after a step's tells; None where it is no such line."""
    found = SAMPLES.search(line) if "samples/s" in line else None
    return None if found is None else float(found["samples"])


def _matched(line: str) -> re.Match[str] | None:
    return STEP.search(line) if "step:[" in line else None


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _time(before: str) -> float | None:
    """Return the time that stands in front of a step, in seconds since 1970."""
    found: list[str] = TIME.findall(before)
    if not found:
        return None
    text = found[-1]  # another line may have been cut off before it
    parts = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    year, month, day, hour, minute, second = map(int, parts)
    try:
        whole = time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    except (ValueError, OverflowError):
        return None
    return whole + int(text[20:] or 0) / 1000
