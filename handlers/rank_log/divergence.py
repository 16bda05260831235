"""Whether a training has diverged, by what it prints of its steps. No I/O here: steps come in, a verdict goes out.

A loss that is NaN or infinite is not always lost. With a loss scale that is looked for (DynamicLossScaleUpdateCell of
MindSpore, AdaptiveLossScaleUpdateCell of MindFormers) training begins with steps whose gradients overflow: the step is
left out, the scale halved, down to 1. So a line with an overflow does not count before the first clean step, one whose
loss is finite and that has no overflow, as long as the scale falls from line to line. A loss that is finite may be lost
anyway: where the gradients overflow with the smallest scale, the step is left out, and so is the next. On the
rehearsal, a learning rate of 1e8 makes the loss -266.573 for ever, with an overflow on each line.

What a version does not tell:

* without a word of an overflow (the trainer of `pynative`) there is none;
* of an overflow without a scale (`unavailable`) as many lines are excused as a scale of 2³² can be halved.
"""

import math
from dataclasses import dataclass, field

from handlers.rank_log.steps import StepLine

DEFAULT_LINES = 20
"""On end, where nobody says otherwise."""

_SMALLEST_SCALE = 1.0
_MOST_HALVINGS = 32
_MOST_SAMPLES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverged:
    """A training went wrong, and did not come back."""

    at: StepLine
    """With which that was sure."""
    since: StepLine
    """The first one that was wrong, of those that followed one another."""
    sound: int | None
    """The number of the last clean step before, None where there is none. The weights of a save before *that* step have
    given a good loss; those that were saved with it or later may be lost already, for a step's loss is of the weights
    before it."""
    reason: str
    """For people."""


class DivergenceWatch:
    """Takes the printed steps of one training, one by one, and says when it has diverged.

    `not_finite` is how many lines on end may be lost, None for any number. With `rise`, as many lines on end
    (DEFAULT_LINES where `not_finite` is None) must not be above so many times the median of the run so far; lines that
    are above do not count in the median, which needs as many others first, and must be above zero.
    """

    def __init__(self, *, not_finite: int | None, rise: float | None) -> None:
        self.found: Diverged | None = None
        """The first one; later steps change nothing of it."""
        self._not_finite = not_finite
        self._rise = rise
        self._lines = not_finite or DEFAULT_LINES
        self._scale = _ScaleSearch()
        self._sample = _Sample()
        self._wrong = _Wrong()
        self._sound: StepLine | None = None

    def take(self, step: StepLine) -> None:
        """Take the next step."""
        if self.found is not None or (self._not_finite is None and self._rise is None):
            return
        is_excused = self._scale.goes_on(step)
        is_finite = math.isfinite(step.loss)
        is_above = is_finite and self._is_above(step.loss)
        if is_finite and not is_above and not step.overflow:
            self._wrong, self._sound = _Wrong(), step
            self._sample.add(step.loss)
            return
        wrong = self._wrong
        wrong.since = wrong.since or step
        if not is_finite and not is_excused:
            wrong.lose(f"the loss is {step.loss}")
        elif is_finite and _has_smallest_scale(step):
            wrong.lose("the gradients overflow with the smallest loss scale")
        elif is_finite:
            wrong.lost = 0
        if is_finite:
            wrong.above = wrong.above + 1 if is_above else 0
        self._judge(step)

    def _is_above(self, loss: float) -> bool:
        if self._rise is None or self._sample.count < self._lines:
            return False
        return loss > self._rise * self._sample.median > 0

    def _judge(self, step: StepLine) -> None:
        wrong = self._wrong
        if wrong.lost == self._not_finite:
            self._find(step, " or ".join(wrong.words))
        elif self._rise is not None and wrong.above == self._lines:
            median = _short(self._sample.median)
            self._find(step, f"the loss is above {_short(self._rise)} × {median}, the run's median,")

    def _find(self, step: StepLine, what: str) -> None:
        since, sound = self._wrong.since or step, self._sound
        curve = self._sample.curve()
        if sound is not None and curve[-1:] != [sound.loss]:
            curve.append(sound.loss)
        losses = f"loss {' → '.join(map(_short, [*curve, step.loss]))}" if curve else "no step before was clean"
        what += f" on {self._lines} printed lines on end"
        reason = f"diverged at {_place(step)}: {what}, since {_place(since)}; {losses}"
        self.found = Diverged(at=step, since=since, sound=sound.number if sound else None, reason=reason)


@dataclass(slots=True)
class _Wrong:
    """What has been wrong without a good line in between."""

    since: StepLine | None = None
    lost: int = 0
    """Lines on end."""
    above: int = 0
    """Likewise."""
    words: dict[str, None] = field(default_factory=dict)
    """Why the former are lost, each reason once."""

    def lose(self, why: str) -> None:
        """Count a line that is lost."""
        if self.lost == 0:
            self.words.clear()
        self.lost += 1
        self.words[why] = None


class _ScaleSearch:
    """Whether the loss scale is still being looked for."""

    def __init__(self) -> None:
        self._is_over = False
        self._before: float | None = None
        self._untold = 0

    def goes_on(self, step: StepLine) -> bool:
        """Say whether the next step was left out for the scale alone."""
        self._is_over = self._is_over or (math.isfinite(step.loss) and not step.overflow)
        before, self._before = self._before, step.loss_scale
        if self._is_over or not step.overflow:
            return False
        if step.loss_scale is None:
            self._untold += 1
            return self._untold <= _MOST_HALVINGS
        return not _has_smallest_scale(step) and (before is None or step.loss_scale < before)


def _has_smallest_scale(step: StepLine) -> bool:
    """Say whether a step was left out though no smaller scale would have helped it; so is one that is no number."""
    return bool(step.overflow) and step.loss_scale is not None and not step.loss_scale > _SMALLEST_SCALE


class _Sample:
    """Some of the good losses of a run, evenly: the first, and then each n-th, with n doubled as the run gets long."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.count = 0
        """Of all good losses."""
        self._every = 1
        self._median: float | None = None

    def add(self, loss: float) -> None:
        """Count one more."""
        if self.count % self._every == 0:
            self.losses.append(loss)
            self._median = None
            if len(self.losses) == _MOST_SAMPLES:
                del self.losses[1::2]
                self._every *= 2
        self.count += 1

    @property
    def median(self) -> float:
        """The middle one; there must be one."""
        if self._median is None:
            self._median = sorted(self.losses)[len(self.losses) // 2]
        return self._median

    def curve(self) -> list[float]:
        """Return the first one and the middle one."""
        places = sorted({0, len(self.losses) // 2})
        return [self.losses[place] for place in places if place < len(self.losses)]


def _place(step: StepLine) -> str:
    return f"epoch {step.epoch} step {step.step}"


def _short(number: float) -> str:
    return f"{number:.4g}"
